"""Parameter-free poolings: the token states of a sequence → one vector, or one for each layer."""

import torch
from torch import Tensor

from training.encoding import EncoderOutput

POOLINGS = ("cls", "mean", "max", "pooler", "cls_layers", "mean_layers")
LAYERED = ("cls_layers", "mean_layers")
"""Poolings of every layer's states, the embeddings' among them: what a layer mix weighs."""


def pool(pooling: str, output: EncoderOutput, attention_mask: Tensor) -> Tensor:
    """Pool padded sequences.

    Args:
        pooling: ``cls`` (first token's state), ``mean`` or ``max`` over real tokens, ``pooler`` (the
            encoder's own dense layer and tanh over the first token), ``cls_layers`` or ``mean_layers``.
        output: Of the encoder; with ``hidden_states`` for the layered poolings.
        attention_mask: 1 for tokens, 0 for padding. Shape ``(num_sequences, seq_len)``.

    Returns:
        Shape ``(num_sequences, hidden_size)``; of the layered poolings
        ``(num_sequences, num_layers + 1, hidden_size)``.

    Raises:
        ValueError: If the pooling is unknown, or the output lacks what it reads.
    """
    states = output.last_hidden_state
    match pooling:
        case "cls":
            return states[:, 0]
        case "mean":
            return _mean(states, attention_mask)
        case "max":
            return states.masked_fill(attention_mask.unsqueeze(-1) == 0, -torch.inf).amax(dim=1)
        case "pooler" if output.pooler_output is not None:
            return output.pooler_output
        case "cls_layers" if output.hidden_states is not None:
            return torch.stack([each[:, 0] for each in output.hidden_states], dim=1)
        case "mean_layers" if output.hidden_states is not None:
            return torch.stack([_mean(each, attention_mask) for each in output.hidden_states], dim=1)
        case "pooler" | "cls_layers" | "mean_layers":
            needed = "pooler_output" if pooling == "pooler" else "hidden_states"
            raise ValueError(f"Pooling {pooling!r} reads {needed}, which the encoder's output lacks.")
    raise ValueError(f"Parameter `pooling` should be one of {', '.join(POOLINGS)}. Found {pooling!r}.")


def _mean(states: Tensor, attention_mask: Tensor) -> Tensor:
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(dim=1) / mask.sum(dim=1)
