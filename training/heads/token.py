"""Heads that answer for every token: tags, starts and ends of an answer."""

from torch import Tensor, nn

from training.heads.base import SEGMENTED_STATES, STATES


class TokenHead(nn.Module):
    """Head over each token's state by itself.

    Args:
        body: ``(…, hidden_size)`` → ``(…, num_outputs)``.
    """

    input_names = STATES

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, last_hidden_state: Tensor) -> Tensor:
        """Shape ``(rows, row_len, num_outputs)``."""
        logits: Tensor = self.body(last_hidden_state)
        return logits


class SubEncodedTokenHead(nn.Module):
    """Head over each token's state behind layers of the head's own.

    Args:
        layers: As ``SubEncoder``.
        body: ``(…, hidden_size)`` → ``(…, num_outputs)``.
    """

    input_names = SEGMENTED_STATES

    def __init__(self, layers: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.body = body

    def forward(self, last_hidden_state: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape ``(rows, row_len, num_outputs)``."""
        logits: Tensor = self.body(self.layers(last_hidden_state, segment_ids))
        return logits
