"""The encoder over a few sequences: pack, run, and cut each sequence's own outputs out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.manifest import EncoderEntry, Pooling
from service.packing import PackedBatch, Placement, pack
from service.sessions import EncoderOutputs, EncoderSession
from service.tokenization import TokenizedInput


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """What the encoder says about one sequence. Owns its memory."""

    pooled: Mapping[Pooling, NDArray[np.float32]]
    """Each of shape ``(hidden_size,)``, or ``(num_layers + 1, hidden_size)`` of a layered pooling."""
    states: NDArray[np.float32] | None
    """Shape ``(num_tokens, hidden_size)``; only where a loaded head reads token states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """How large a computed batch was."""

    sequences: int
    rows: int
    row_len: int
    tokens: int


class PackedEncoder:
    """Sequences → encodings, synchronously. Runs in the batcher's thread."""

    def __init__(
        self,
        session: EncoderSession,
        entry: EncoderEntry,
        *,
        needs_states: Callable[[TokenizedInput], bool],
        on_batch: Callable[[BatchSize], None] = lambda _: None,
    ) -> None:
        """Bind a session to the bundle's conventions.

        Args:
            session: Runs the packed rows.
            entry: Padding token and first position.
            needs_states: Whether some loaded head may read the token states of such a sequence. Decided by
                the sequence alone, never by who asks first: else equal texts of two tasks could cost two
                rows.
            on_batch: Told the size of each batch that ran.
        """
        self._session = session
        self._entry = entry
        self._needs_states = needs_states
        self._on_batch = on_batch

    def encode(self, sequences: Sequence[TokenizedInput]) -> list[Encoding]:
        """Encode in one batch, or in several where padding would outgrow them; results in the given order."""
        encodings: dict[int, Encoding] = {}
        for together in self._session.row_shapes.split([each.num_tokens for each in sequences]):
            found = self._encode_batch([sequences[index] for index in together])
            encodings |= zip(together, found, strict=True)
        return [encodings[index] for index in range(len(sequences))]

    def _encode_batch(self, sequences: Sequence[TokenizedInput]) -> list[Encoding]:
        batch = pack(
            sequences,
            self._session.row_shapes,
            pad_token_id=self._entry.pad_token_id,
            position_offset=self._entry.position_offset,
        )
        keeps_states = [self._needs_states(sequence) for sequence in sequences]
        outputs = self._session.encode(batch, with_states=any(keeps_states))
        self._on_batch(_size(batch))
        return [
            _cut(outputs, placement, with_states=keep)
            for placement, keep in zip(batch.placements, keeps_states, strict=True)
        ]


def _size(batch: PackedBatch) -> BatchSize:
    rows, row_len = batch.shape
    return BatchSize(sequences=len(batch.placements), rows=rows, row_len=row_len, tokens=batch.num_tokens)


def _cut(outputs: EncoderOutputs, place: Placement, *, with_states: bool) -> Encoding:
    """Copies, so that one cached vector does not keep the whole batch's memory alive."""
    pooled = {pooling: vectors[place.segment].copy() for pooling, vectors in outputs.pooled.items()}
    states = None
    if with_states:
        if outputs.last_hidden_state is None:
            raise RuntimeError("The encoder session was asked for token states and gave none.")
        states = outputs.last_hidden_state[place.row, place.start : place.start + place.length].copy()
    return Encoding(pooled=pooled, states=states)
