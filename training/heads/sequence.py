"""Heads that answer for a whole sequence, or for a pair of them."""

from torch import Tensor, nn

from training.heads.base import PAIR, POOLED, SEGMENTED_STATES
from training.heads.combines import COMBINES


class PooledHead(nn.Module):
    """Head over one vector: a text's, or a cross-encoded pair's.

    Args:
        body: ``(batch_size, hidden_size)`` → ``(batch_size, num_outputs)``.
        mix: Layered vectors → vectors, where the pooling is layered.
    """

    input_names = POOLED

    def __init__(self, body: nn.Module, *, mix: nn.Module | None = None) -> None:
        super().__init__()
        self.mix = mix or nn.Identity()
        self.body = body

    def forward(self, pooled: Tensor) -> Tensor:
        """Shape ``(batch_size, num_outputs)``."""
        logits: Tensor = self.body(self.mix(pooled))
        return logits


class BiEncoderHead(nn.Module):
    """Head over the two vectors of a pair whose texts were encoded apart.

    Args:
        combine: One of ``COMBINES``.
        body: ``(batch_size, combined_size(combine, hidden_size))`` → ``(batch_size, num_outputs)``.
        mix: Layered vectors → vectors, where the pooling is layered; the same for both texts.
    """

    input_names = PAIR

    def __init__(self, combine: str, body: nn.Module, *, mix: nn.Module | None = None) -> None:
        super().__init__()
        self.combine = COMBINES[combine]
        self.mix = mix or nn.Identity()
        self.body = body

    def forward(self, pooled_a: Tensor, pooled_b: Tensor) -> Tensor:
        """Shape ``(batch_size, num_outputs)``."""
        logits: Tensor = self.body(self.combine(self.mix(pooled_a), self.mix(pooled_b)))
        return logits


class SegmentHead(nn.Module):
    """Head over token states that answers once for each segment.

    Args:
        pooling: A ``SegmentPooling``.
        body: ``(num_segments, hidden_size)`` → ``(num_segments, num_outputs)``.
        layers: The head's own layers below the pooling, as ``SubEncoder``.
    """

    input_names = SEGMENTED_STATES

    def __init__(self, pooling: nn.Module, body: nn.Module, *, layers: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = layers
        self.pooling = pooling
        self.body = body

    def forward(self, last_hidden_state: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape ``(num_segments, num_outputs)``, in the order of the segments' first tokens."""
        states = self.layers(last_hidden_state, segment_ids) if self.layers is not None else last_hidden_state
        logits: Tensor = self.body(self.pooling(states, segment_ids))
        return logits
