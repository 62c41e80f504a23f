"""Poolings over packed rows: one vector a segment, by operators that ONNX Runtime runs on all threads.

Its scatter operators run on one, so a mean is a matrix product and a maximum is found by doubling windows.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from export.manifest import Pooling

ALWAYS = (Pooling.CLS, Pooling.MEAN)
"""Cheap, and what ``/v1/embeddings`` and a head added later most likely read."""


def exported_poolings(read: Iterable[Pooling | str]) -> tuple[Pooling, ...]:
    """Poolings of an encoder graph: those that something reads, and the cheap ones, in their order."""
    wanted = {*ALWAYS, *map(Pooling, read)}
    return tuple(pooling for pooling in Pooling if pooling in wanted)


class SegmentPooling(nn.Module):
    """Pools every segment of a batch of rows, in the order of the segments' first tokens, row by row.

    Args:
        poolings: Which, in the order of the results.
        pooler: First tokens' states → the encoder's own pooling.
        max_length: Tokens of the longest segment.
    """

    def __init__(self, poolings: Sequence[Pooling], pooler: nn.Module, max_length: int) -> None:
        super().__init__()
        self.poolings = tuple(poolings)
        self.pooler = pooler
        self.max_length = max_length

    def forward(
        self, hidden_states: Sequence[Tensor], segment_ids: Tensor, is_first: Tensor
    ) -> tuple[Tensor, ...]:
        """Pool.

        Args:
            hidden_states: Of every layer; the last alone, unless a pooling is layered. Each of shape
                ``(rows, row_len, hidden_size)``.
            segment_ids: Shape ``(rows, row_len)``.
            is_first: Whether a token is its segment's first. Same shape.

        Returns:
            Per pooling, shape ``(num_segments, hidden_size)``, or layered
            ``(num_segments, num_layers + 1, hidden_size)``.
        """
        layers = [each.flatten(0, 1) for each in hidden_states]
        segments = segment_ids.flatten()
        first = is_first.flatten().nonzero().squeeze(1)
        return tuple(self._pool(pooling, layers, segments, first) for pooling in self.poolings)

    def _pool(self, pooling: Pooling, layers: list[Tensor], segments: Tensor, first: Tensor) -> Tensor:
        match pooling:
            case Pooling.CLS:
                return layers[-1][first]
            case Pooling.MEAN:
                return _means(layers[-1], segments, first)
            case Pooling.MAX:
                return _running_maxima(layers[-1], segments, self.max_length)[first]
            case Pooling.POOLER:
                pooled: Tensor = self.pooler(layers[-1][first])
                return pooled
            case Pooling.CLS_LAYERS:
                return torch.stack([layer[first] for layer in layers], dim=1)
            case Pooling.MEAN_LAYERS:
                return torch.stack([_means(layer, segments, first) for layer in layers], dim=1)


def _means(states: Tensor, segments: Tensor, first: Tensor) -> Tensor:
    """Mean over each segment, as a product with its 0/1 membership matrix."""
    member = (segments[first].unsqueeze(1) == segments.unsqueeze(0)).to(states.dtype)
    return (member @ states) / member.sum(dim=1, keepdim=True)


def _running_maxima(states: Tensor, segments: Tensor, max_length: int) -> Tensor:
    """Maximum from each token to the end of its segment.

    Each step doubles the window: it takes the maximum that the token one window ahead has found, if that
    token is of the same segment. Segments are contiguous, so ``log2(max_length)`` steps see all of one, with
    no more memory than a few copies of the states.
    """
    last = states.shape[0] - 1
    window = 1
    while window < max_length:
        ahead = (torch.arange(states.shape[0]) + window).clamp(max=last)
        same_segment = (segments[ahead] == segments).unsqueeze(1)
        states = torch.where(same_segment, torch.maximum(states, states[ahead]), states)
        window *= 2
    return states
