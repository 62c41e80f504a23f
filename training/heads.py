"""A head per task: pooled vectors → logits. What a head does, its exported graph does."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Head(Protocol):
    """A module whose ``forward`` takes ``input_names`` in order and gives logits."""

    input_names: tuple[str, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Shape ``(batch_size, num_outputs)``."""
        ...


class PooledHead(nn.Module):
    """Head over one vector: a text's, or a cross-encoded pair's.

    Args:
        body: ``(batch_size, hidden_size)`` → ``(batch_size, num_outputs)``.
    """

    input_names = ("pooled",)

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, pooled: Tensor) -> Tensor:
        """Shape ``(batch_size, num_outputs)``."""
        logits: Tensor = self.body(pooled)
        return logits


class BiEncoderHead(nn.Module):
    """Head over the two vectors of a pair whose texts were encoded apart.

    Args:
        combine: One of ``COMBINES``.
        body: ``(batch_size, combined_size(combine, hidden_size))`` → ``(batch_size, num_outputs)``.
    """

    input_names = ("pooled_a", "pooled_b")

    def __init__(self, combine: str, body: nn.Module) -> None:
        super().__init__()
        self.combine = COMBINES[combine]
        self.body = body

    def forward(self, pooled_a: Tensor, pooled_b: Tensor) -> Tensor:
        """Shape ``(batch_size, num_outputs)``."""
        logits: Tensor = self.body(self.combine(pooled_a, pooled_b))
        return logits


class ScaledSigmoid(nn.Module):
    """``low + (high − low)·sigmoid(x)``: part of the trained function, so part of the graph."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, logits: Tensor) -> Tensor:
        """Shape kept; values in ``(low, high)``."""
        return self.low + (self.high - self.low) * torch.sigmoid(logits)


def _concat(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], dim=-1)


def _diff_product(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([(a - b).abs(), a * b], dim=-1)


def _full(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b, (a - b).abs(), a * b], dim=-1)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return functional.cosine_similarity(a, b, dim=-1).unsqueeze(-1)


COMBINES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": _concat,
    "diff_product": _diff_product,
    "full": _full,
    "cosine": _cosine,
}
"""``(batch_size, hidden_size)`` twice → features. The same for (b, a): diff_product and cosine alone."""


def combined_size(combine: str, hidden_size: int) -> int:
    """Number of features that ``COMBINES[combine]`` gives."""
    sizes = {"concat": 2 * hidden_size, "diff_product": 2 * hidden_size, "full": 4 * hidden_size, "cosine": 1}
    return sizes[combine]


def build_body(
    in_features: int,
    num_outputs: int,
    *,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    value_range: tuple[float, float] | None = None,
) -> nn.Sequential:
    """Linear layers with dropout before and ReLU between them; the last layer stays linear.

    Args:
        in_features: Width of the input.
        num_outputs: Labels, or 1 for a value.
        hidden: Widths of the hidden layers; none for a linear head.
        dropout: Probability, before every linear layer. A single feature (cosine) is never dropped.
        value_range: Bounds of a regression value, kept by a scaled sigmoid.
    """
    layers: list[nn.Module] = []
    width = in_features
    for size in hidden:
        layers += [nn.Dropout(dropout if width > 1 else 0.0), nn.Linear(width, size), nn.ReLU()]
        width = size
    last = nn.Linear(width, num_outputs)
    if width == 1 and num_outputs == 1:
        _start_rising(last)
    layers += [nn.Dropout(dropout if width > 1 else 0.0), last]
    if value_range is not None:
        layers.append(ScaledSigmoid(*value_range))
    return nn.Sequential(*layers)


def _start_rising(layer: nn.Linear) -> None:
    """Let a value over a cosine start by rising with it, from −2.5 at 0 to 2.5 at 1.

    A random sign would start half of all runs by pushing similar texts apart.
    """
    nn.init.constant_(layer.weight, 5.0)
    nn.init.constant_(layer.bias, -2.5)
