"""Poolings that a head computes itself, over token states of its own or with parameters of its own.

The encoder's graph has the others (``training.pooling``): they have no parameters, so tasks share them.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from training.segments import first_tokens, membership, running_maxima, segment_means


class SegmentPooling(Protocol):
    """Token states in rows → one vector a segment, in the order of the segments' first tokens."""

    def __call__(self, states: Tensor, segment_ids: Tensor) -> Tensor:
        """``(rows, row_len, hidden_size)`` and ``(rows, row_len)`` → ``(num_segments, hidden_size)``."""
        ...


class ClsPooling(nn.Module):
    """The first token's state."""

    def forward(self, states: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape ``(num_segments, hidden_size)``."""
        return states.flatten(0, 1)[first_tokens(segment_ids)]


class MeanPooling(nn.Module):
    """The mean over the segment's tokens."""

    def forward(self, states: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape ``(num_segments, hidden_size)``."""
        return segment_means(states.flatten(0, 1), membership(segment_ids))


class MaxPooling(nn.Module):
    """The largest value of each feature over the segment's tokens.

    Args:
        max_length: Tokens of the longest sequence possible.
    """

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length

    def forward(self, states: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape ``(num_segments, hidden_size)``."""
        flat, segments = states.flatten(0, 1), segment_ids.flatten()
        return running_maxima(flat, segments, max_length=self.max_length)[first_tokens(segment_ids)]


class AttentionPooling(nn.Module):
    """Token states weighed by a learned query: ``softmax_t(q·h_t / √hidden_size)``.

    The query starts at zero, so training starts from the mean.

    Args:
        hidden_size: Width of the token states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, states: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape ``(num_segments, hidden_size)``."""
        flat = states.flatten(0, 1)
        scores = (flat @ self.query) * len(self.query) ** -0.5
        lowest = torch.finfo(scores.dtype).min
        weights = torch.where(membership(segment_ids), scores.unsqueeze(0), lowest).softmax(dim=1)
        return weights @ flat


class LayerMix(nn.Module):
    """A weighted sum of the layers: ``Σ_j softmax(w)_j · h_j`` (Peters et al. 2018, without the scale γ).

    The weights start equal. What it mixes is a pooled vector for the embeddings and for every layer, so the
    encoder's output stays one for all tasks.

    Args:
        num_layers: Of the encoder; the mix has one weight more, for the embeddings.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_layers + 1))

    def forward(self, pooled: Tensor) -> Tensor:
        """``(batch_size, num_layers + 1, hidden_size)`` → ``(batch_size, hidden_size)``."""
        return (self.weights.softmax(dim=0).unsqueeze(-1) * pooled).sum(dim=1)


LAYER_MIXES: Mapping[str, str] = {"layer_mix": "mean_layers", "layer_mix_cls": "cls_layers"}
"""Configured pooling → the encoder's layered pooling that it mixes."""


def build_segment_pooling(name: str, *, hidden_size: int, max_length: int) -> nn.Module:
    """A ``SegmentPooling`` by its name in the configuration.

    Raises:
        ValueError: If there is none of that name.
    """
    match name:
        case "cls":
            return ClsPooling()
        case "mean":
            return MeanPooling()
        case "max":
            return MaxPooling(max_length)
        case "attention":
            return AttentionPooling(hidden_size)
    raise ValueError(f"Parameter `name` should be one of {', '.join(SEGMENT_POOLINGS)}. Found {name!r}.")


SEGMENT_POOLINGS = ("cls", "mean", "max", "attention")
