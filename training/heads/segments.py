"""Sequences that lie end to end in rows: which tokens belong together, and what is computed over them.

``segment_ids`` of shape ``(rows, row_len)`` name every token's sequence; a segment is contiguous, lies in one
row, and its id occurs in no other row. Tails have ``NO_SEGMENT``. A padded batch is the same thing with one
segment a row, so training and the packed service run one function.

No scattering: ONNX Runtime's ScatterElements runs on one thread, a matrix product on all.
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
    return _edges(segment_ids, functional.pad(segment_ids.flatten(), (1, 0), value=NO_SEGMENT)[:-1])


def last_tokens(segment_ids: Tensor) -> Tensor:
    """Places of the segments' last tokens among all tokens, row by row. Shape ``(num_segments,)``."""
    return _edges(segment_ids, functional.pad(segment_ids.flatten(), (0, 1), value=NO_SEGMENT)[1:])


def membership(segment_ids: Tensor) -> Tensor:
    """Which tokens belong to which segment. Bool of shape ``(num_segments, rows · row_len)``."""
    flat = segment_ids.flatten()
    return flat[first_tokens(segment_ids)].unsqueeze(1) == flat.unsqueeze(0)


def additive_mask(segment_ids: Tensor, dtype: torch.dtype) -> Tensor:
    """What keeps attention within the own segment when added to its scores.

    Tails see each other, so that no softmax is over nothing.

    Returns:
        0 or the lowest finite number. Shape ``(rows, 1, row_len, row_len)``.
    """
    same = (segment_ids.unsqueeze(2) == segment_ids.unsqueeze(1)).unsqueeze(1)
    return torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill(~same, torch.finfo(dtype).min)


def running_max(states: Tensor, segment_ids: Tensor, *, max_length: int) -> Tensor:
    """The largest value of each feature from a segment's first token up to each token.

    By doubling (Hillis and Steele 1986, https://doi.org/10.1145/7902.7903): after step k every token has seen
    its 2^k predecessors. That is a few elementwise passes over the rows, where a padded copy of every segment
    would be many times the rows' size.

    Args:
        states: Shape ``(rows, row_len, hidden_size)``.
        segment_ids: Shape ``(rows, row_len)``.
        max_length: Tokens of the longest segment possible; fixes the number of passes in an exported graph.

    Returns:
        Shape of ``states``; of a segment's last token, the maximum over all of it.
    """
    row_len = states.shape[1]
    for exponent in range(max(1, (max_length - 1).bit_length())):
        shift = 2**exponent
        before = functional.pad(states, (0, 0, shift, 0))[:, :row_len]
        same = segment_ids == functional.pad(segment_ids, (shift, 0), value=NO_SEGMENT)[:, :row_len]
        states = torch.where(same.unsqueeze(-1), torch.maximum(states, before), states)
    return states


def _edges(segment_ids: Tensor, neighbours: Tensor) -> Tensor:
    flat = segment_ids.flatten()
    return ((flat != NO_SEGMENT) & (flat != neighbours)).nonzero().squeeze(1)
