"""Poolings over packed rows: one vector a segment, by operators that ONNX Runtime runs on all threads."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from export.manifest import Pooling
from training.segments import membership_of, running_maxima, segment_means

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
                return segment_means(layers[-1], membership_of(segments, first))
            case Pooling.MAX:
                return running_maxima(layers[-1], segments, max_length=self.max_length)[first]
            case Pooling.POOLER:
                pooled: Tensor = self.pooler(layers[-1][first])
                return pooled
            case Pooling.CLS_LAYERS:
                return torch.stack([layer[first] for layer in layers], dim=1)
            case Pooling.MEAN_LAYERS:
                members = membership_of(segments, first)
                return torch.stack([segment_means(layer, members) for layer in layers], dim=1)
