"""Parameter-free poolings: the token states of a sequence → one vector."""

from torch import Tensor


def pool(pooling: str, last_hidden_state: Tensor, attention_mask: Tensor) -> Tensor:
    """Pool padded sequences.

    Args:
        pooling: ``cls`` (first token's state) or ``mean`` (over real tokens).
        last_hidden_state: Shape ``(num_sequences, seq_len, hidden_size)``.
        attention_mask: 1 for tokens, 0 for padding. Shape ``(num_sequences, seq_len)``.

    Returns:
        Shape ``(num_sequences, hidden_size)``.
    """
    if pooling == "cls":
        return last_hidden_state[:, 0]
    if pooling == "mean":
        mask = attention_mask.unsqueeze(-1).to(last_hidden_state.dtype)
        return (last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
    raise ValueError(f"Parameter `pooling` should be 'cls' or 'mean'. Found {pooling!r}.")
