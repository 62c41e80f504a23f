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
    return membership_of(segment_ids.flatten(), first_tokens(segment_ids))


def membership_of(segments: Tensor, first: Tensor) -> Tensor:
    """The same, where the first tokens are known.

    Args:
        segments: Of all tokens. Shape ``(num_tokens,)``.
        first: Places of the segments' first tokens. Shape ``(num_segments,)``.
    """
    return segments[first].unsqueeze(1) == segments.unsqueeze(0)


def segment_means(states: Tensor, members: Tensor) -> Tensor:
    """Mean over each segment's tokens, as a product with its membership matrix.

    Args:
        states: Of all tokens. Shape ``(num_tokens, hidden_size)``.
        members: Of ``membership``. Shape ``(num_segments, num_tokens)``.

    Returns:
        Shape ``(num_segments, hidden_size)``.
    """
    weights = members.to(states.dtype)
    return (weights @ states) / weights.sum(dim=1, keepdim=True)


def running_maxima(states: Tensor, segments: Tensor, *, max_length: int) -> Tensor:
    """Largest value of each feature from each token to the end of its segment.

    By doubling (Hillis and Steele 1986, https://doi.org/10.1145/7902.7903): each step takes the maximum that
    the token one window ahead has found, so after k steps a token has seen its 2^k − 1 followers. That is a
    few elementwise passes over the tokens, where a padded copy of every segment would be many times as large.

    Args:
        states: Of all tokens. Shape ``(num_tokens, hidden_size)``.
        segments: Of all tokens. Shape ``(num_tokens,)``.
        max_length: Tokens of the longest segment possible; fixes the number of passes of an exported graph.

    Returns:
        Shape of ``states``; at a segment's first token the maximum over all of it.
    """
    window = 1
    while window < max_length:
        ahead = functional.pad(states, (0, 0, 0, window))[window:]
        same = segments == functional.pad(segments, (0, window), value=NO_SEGMENT)[window:]
        states = torch.where(same.unsqueeze(1), torch.maximum(states, ahead), states)
        window *= 2
    return states


def additive_mask(segment_ids: Tensor, dtype: torch.dtype) -> Tensor:
    """What keeps attention within the own segment when added to its scores.

    Tails see each other, so that no softmax is over nothing.

    Returns:
        0 or the lowest finite number. Shape ``(rows, 1, row_len, row_len)``.
    """
    same = (segment_ids.unsqueeze(2) == segment_ids.unsqueeze(1)).unsqueeze(1)
    return torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill(~same, torch.finfo(dtype).min)
