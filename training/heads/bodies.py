"""The layers from features to logits. They act on the last axis: a vector for each text or each token."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ScaledSigmoid(nn.Module):
    """``low + (high − low)·sigmoid(x)``: part of the trained function, so part of the graph."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, logits: Tensor) -> Tensor:
        """Shape kept; values in ``(low, high)``."""
        return self.low + (self.high - self.low) * torch.sigmoid(logits)


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
