"""Sequences that lie end to end in rows: which tokens belong together, and what is computed over them.

``segment_ids`` of shape ``(rows, row_len)`` name every token's sequence; a segment is contiguous, lies in one
row, and its id occurs in no other row. Tails have ``NO_SEGMENT``. A padded batch is the same thing with one
segment a row, so training and the packed service run one function.

No scattering: ONNX Runtime's scatter operators run on one thread, a matrix product on all.
"""

import torch
from torch import Tensor
from torch.nn import functional

NO_SEGMENT = -1
"""``segment_ids`` of tokens that belong to no sequence."""


def as_segments(attention_mask: Tensor) -> Tensor:
    """``segment_ids`` of a padded batch: each row a segment, padding none. Shape kept."""
    rows = torch.arange(len(attention_mask), device=attention_mask.device).unsqueeze(1)
    return torch.where(attention_mask.bool(), rows, NO_SEGMENT)


def first_tokens(segment_ids: Tensor) -> Tensor:
    """Places of the segments' first tokens among all tokens, row by row. Shape ``(num_segments,)``."""
    flat = segment_ids.flatten()
    before = functional.pad(flat, (1, 0), value=NO_SEGMENT)[:-1]
    return ((flat != NO_SEGMENT) & (flat != before)).nonzero().squeeze(1)


def membership(segment_ids: Tensor) -> Tensor:
    """Which tokens belong to which segment. Bool of shape ``(num_segments, rows · row_len)``."""
    flat = segment_ids.flatten()
    return flat[first_tokens(segment_ids)].unsqueeze(1) == flat.unsqueeze(0)


def segment_means(states: Tensor, segment_ids: Tensor) -> Tensor:
    """Mean over each segment's tokens.

    Args:
        states: Shape ``(rows, row_len, hidden_size)``.
        segment_ids: Shape ``(rows, row_len)``.

    Returns:
        Shape ``(num_segments, hidden_size)``, in the order of the segments' first tokens.
    """
    members = membership(segment_ids).to(states.dtype)
    return (members @ states.flatten(0, 1)) / members.sum(dim=1, keepdim=True)


def segment_maxima(states: Tensor, segment_ids: Tensor, *, max_length: int) -> Tensor:
    """Largest value of each feature over each segment's tokens.

    By doubling (Hillis and Steele 1986, https://doi.org/10.1145/7902.7903): each step takes the maximum that
    the token one window ahead has found, so after k steps a token has seen its 2^k − 1 followers. That is a
    few elementwise passes over the tokens, where a padded copy of every segment would be many times as large.

    Args:
        states: Shape ``(rows, row_len, hidden_size)``.
        segment_ids: Shape ``(rows, row_len)``.
        max_length: Tokens of the longest segment possible; fixes the number of passes of an exported graph.

    Returns:
        Shape ``(num_segments, hidden_size)``, in the order of the segments' first tokens.
    """
    largest, flat = states.flatten(0, 1), segment_ids.flatten()
    window = 1
    while window < max_length:
        ahead = functional.pad(largest, (0, 0, 0, window))[window:]
        same = flat == functional.pad(flat, (0, window), value=NO_SEGMENT)[window:]
        largest = torch.where(same.unsqueeze(1), torch.maximum(largest, ahead), largest)
        window *= 2
    return largest[first_tokens(segment_ids)]


def additive_mask(segment_ids: Tensor, dtype: torch.dtype) -> Tensor:
    """What keeps attention within the own segment when added to its scores.

    Tails see each other, so that no softmax is over nothing.

    Returns:
        0 or the lowest finite number. Shape ``(rows, 1, row_len, row_len)``.
    """
    same = (segment_ids.unsqueeze(2) == segment_ids.unsqueeze(1)).unsqueeze(1)
    return torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill(~same, torch.finfo(dtype).min)
