"""What every head is."""

from typing import Protocol

from torch import Tensor

POOLED = ("pooled",)
PAIR = ("pooled_a", "pooled_b")
STATES = ("last_hidden_state",)
SEGMENTED_STATES = ("last_hidden_state", "segment_ids")


class Head(Protocol):
    """A module whose ``forward`` takes ``input_names`` in order and gives logits.

    The names, as in the bundle's manifest:

    - ``pooled``: a sequence's vector, ``(batch_size, hidden_size)``; of a layered pooling
      ``(batch_size, num_layers + 1, hidden_size)``
    - ``pooled_a``, ``pooled_b``: the same of the two sequences of a bi-encoded pair
    - ``last_hidden_state``: token states, ``(rows, row_len, hidden_size)``
    - ``segment_ids``: which sequence each token belongs to, ``(rows, row_len)``; ``training.segments``
    """

    input_names: tuple[str, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Logits.

        Shape ``(batch_size, num_outputs)``; with ``segment_ids``, a row for each segment in the order of
        their first tokens; of a token-level head ``(rows, row_len, num_outputs)``.
        """
        ...
