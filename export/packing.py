"""Sequences → rows, for parity checks and verification.

The service has its own packer, which chooses row shapes for speed; here rows are filled in the order given,
so that tests can put any sequence into any company.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.manifest import PADDING_SEGMENT, EncoderEntry, EncoderInput, Layout
from training.tokenization import TokenSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRows:
    """Encoder inputs, and where each sequence lies.

    Attributes:
        tensors: Every ``EncoderInput``. Each int64 of shape ``(rows, row_len)``.
        places: ``(row, start, length)`` of each sequence.
    """

    tensors: dict[str, NDArray[np.int64]]
    places: list[tuple[int, int, int]]

    def feed(self, encoder: EncoderEntry) -> dict[str, NDArray[np.int64]]:
        """Those inputs that the encoder's graph names."""
        return {name: self.tensors[name] for name in encoder.inputs}

    def lay(self, states: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """States of each sequence → rows, with noise in the tails: no head may read it.

        Args:
            states: Each of shape ``(length, hidden_size)``.

        Returns:
            Shape ``(rows, row_len, hidden_size)``.
        """
        shape = (*self.tensors[EncoderInput.SEGMENT_IDS].shape, states[0].shape[-1])
        rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        for (row, start, length), each in zip(self.places, states, strict=True):
            rows[row, start : start + length] = each
        return rows

    def tokens_of(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values of every sequence's tokens, end to end. ``(rows, row_len, …)`` → ``(num_tokens, …)``."""
        return np.concatenate([rows[row, start : start + length] for row, start, length in self.places])


def pack_rows(
    sequences: Sequence[TokenSequence],
    *,
    row_len: int,
    position_offset: int,
    pad_token_id: int,
    layout: Layout = Layout.PACKED,
) -> PackedRows:
    """Lay sequences end to end, opening a new row where the next one does not fit, or each into its own row.

    Args:
        sequences: None longer than ``row_len``.
        row_len: Tokens a row.
        position_offset: ``position_ids`` of a sequence's first token.
        pad_token_id: Written into rows' tails.
        layout: Whether rows are shared.
    """
    places: list[tuple[int, int, int]] = []
    row, start = 0, 0
    for sequence in sequences:
        length = len(sequence.input_ids)
        if start + length > row_len or (start > 0 and layout is Layout.PADDED):
            row, start = row + 1, 0
        places.append((row, start, length))
        start += length
    shape = (row + 1, row_len)
    fills = {
        EncoderInput.INPUT_IDS: pad_token_id,
        EncoderInput.POSITION_IDS: position_offset,
        EncoderInput.SEGMENT_IDS: PADDING_SEGMENT,
        EncoderInput.TOKEN_TYPE_IDS: 0,
    }
    tensors = {str(name): np.full(shape, fill, dtype=np.int64) for name, fill in fills.items()}
    for segment, ((row, start, length), sequence) in enumerate(zip(places, sequences, strict=True)):
        where = (row, slice(start, start + length))
        tensors[EncoderInput.INPUT_IDS][where] = sequence.input_ids
        tensors[EncoderInput.POSITION_IDS][where] = position_offset + np.arange(length)
        tensors[EncoderInput.SEGMENT_IDS][where] = segment
        tensors[EncoderInput.TOKEN_TYPE_IDS][where] = sequence.token_type_ids
    return PackedRows(tensors=tensors, places=places)
