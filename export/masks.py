"""Segments → attention masks, in the form that each family's own forward takes."""

import torch
from torch import Tensor
from transformers import PretrainedConfig

from export.manifest import Layout
from training.families import Attention, Family

AttentionMask = Tensor | dict[str, Tensor]


def layout_of(family: Family) -> Layout:
    """How a family's sequences lie in rows."""
    return Layout.PADDED if family.attention is Attention.UNPADDED else Layout.PACKED


def attention_mask(
    family: Family,
    config: PretrainedConfig,
    segment_ids: Tensor,
    position_ids: Tensor,
    *,
    dtype: torch.dtype,
) -> AttentionMask:
    """Keep attention within each segment.

    Masks of tokens by tokens are 4-D, float and added to the scores: transformers takes a boolean one, too,
    and is silently wrong with it.

    Args:
        family: Decides the form.
        config: Of the encoder.
        segment_ids: ``PADDING_SEGMENT`` in tails. Shape ``(rows, row_len)``.
        position_ids: Ascending by one within each segment. Same shape.
        dtype: Of the attention scores.

    Returns:
        A mask of shape ``(rows, 1, row_len, row_len)``; one for each type of layer, by its name in
        transformers; or, of sequences that lie one a row, 1 for tokens and 0 for padding, in the shape of
        ``segment_ids``.
    """
    if family.attention is Attention.UNPADDED:
        return (segment_ids >= 0).to(segment_ids.dtype)
    same_segment = segment_ids.unsqueeze(2) == segment_ids.unsqueeze(1)
    if family.attention is Attention.FULL:
        return _additive(same_segment, dtype)
    # Every token sees at least itself, in tails too: no row of a mask is empty, and nothing becomes NaN.
    distance = (position_ids.unsqueeze(2) - position_ids.unsqueeze(1)).abs()
    return {
        "full_attention": _additive(same_segment, dtype),
        "sliding_attention": _additive(same_segment & (distance <= config.sliding_window), dtype),
    }


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    blocked = torch.tensor(torch.finfo(dtype).min, dtype=dtype)
    return torch.where(allowed, torch.zeros((), dtype=dtype), blocked).unsqueeze(1)
