"""The encoder over a few sequences: pack, run, and cut each sequence's own outputs out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.manifest import EncoderEntry, Pooling
from service.lanes import Crew
from service.packing import PackedBatch, Placement, pack
from service.sessions import EncoderOutputs, EncoderSession
from service.settings import CacheDtype
from service.tokenization import TokenizedInput

LARGEST_HALF = float(np.finfo(np.float16).max)
HALF_TOLERANCE = 0.01
"""Room for what rounding does to logits: sums over a few hundred numbers, whose errors mostly cancel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """What the encoder says about one sequence. Owns its memory.

    Its numbers are float32 or, to keep twice as many, float16.
    """

    pooled: Mapping[Pooling, NDArray[np.floating]]
    """Each of shape ``(hidden_size,)``, or ``(num_layers + 1, hidden_size)`` of a layered pooling."""
    states: NDArray[np.floating] | None
    """Shape ``(num_tokens, hidden_size)``; only where a loaded head reads token states."""

    @property
    def num_bytes(self) -> int:
        """Of its numbers."""
        return sum(each.nbytes for each in self.pooled.values()) + (
            0 if self.states is None else self.states.nbytes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """How large a computed batch was."""

    sequences: int
    rows: int
    row_len: int
    tokens: int
    seconds: float
    """That the session took."""
    crew: Crew


class Rounding:
    """How encodings are stored: as computed, or rounded to fp16.

    Fresh ones are rounded, too, so that an answer does not depend on whether its encoding was cached. The
    error is at most 2⁻¹¹ of a number, or 2⁻²⁵ of one below 2⁻¹⁴; beyond 65,504 a number is held at that.
    """

    def __init__(self, dtype: CacheDtype) -> None:
        self.name = dtype.value
        """Part of the identity of what is stored."""
        self._is_half = dtype is CacheDtype.FP16
        self.dtype: np.dtype[np.floating] = np.dtype(np.float16 if self._is_half else np.float32)
        self.tolerance = HALF_TOLERANCE if self._is_half else 0.0
        """What it may add to a golden example's deviation."""

    def keep(self, numbers: NDArray[np.float32]) -> NDArray[np.floating]:
        """A copy, so that one cached vector does not keep the whole batch's memory alive."""
        if not self._is_half:
            return numbers.copy()
        return numbers.clip(-LARGEST_HALF, LARGEST_HALF).astype(np.float16)


AS_COMPUTED = Rounding(CacheDtype.FP32)


class PackedEncoder:
    """Sequences → encodings, synchronously. Runs in the batcher's threads, one for each lane."""

    def __init__(
        self,
        session: EncoderSession,
        entry: EncoderEntry,
        *,
        needs_states: Callable[[TokenizedInput], bool],
        rounding: Rounding = AS_COMPUTED,
        on_batch: Callable[[BatchSize], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Bind a session to the bundle's conventions.

        Args:
            session: Runs the packed rows.
            entry: Padding token and first position.
            needs_states: Whether some loaded head may read the token states of such a sequence. Decided by
                the sequence alone, never by who asks first: else equal texts of two tasks could cost two
                rows.
            rounding: How the encodings are stored.
            on_batch: Told the size of each batch that ran.
            clock: Monotonic seconds.
        """
        self._session = session
        self._entry = entry
        self._needs_states = needs_states
        self._rounding = rounding
        self._on_batch = on_batch
        self._clock = clock

    def encode(self, sequences: Sequence[TokenizedInput], crew: Crew) -> list[Encoding]:
        """Encode in one batch, or in several where padding would outgrow them; results in the given order."""
        encodings: dict[int, Encoding] = {}
        for together in self._session.row_shapes.split([each.num_tokens for each in sequences]):
            found = self._encode_batch([sequences[index] for index in together], crew)
            encodings |= zip(together, found, strict=True)
        return [encodings[index] for index in range(len(sequences))]

    def _encode_batch(self, sequences: Sequence[TokenizedInput], crew: Crew) -> list[Encoding]:
        batch = pack(
            sequences,
            self._session.row_shapes,
            pad_token_id=self._entry.pad_token_id,
            position_offset=self._entry.position_offset,
        )
        keeps_states = [self._needs_states(sequence) for sequence in sequences]
        started_s = self._clock()
        outputs = self._session.encode(batch, with_states=any(keeps_states), crew=crew)
        self._on_batch(_size(batch, self._clock() - started_s, crew))
        return [
            _cut(outputs, placement, self._rounding, with_states=keep)
            for placement, keep in zip(batch.placements, keeps_states, strict=True)
        ]


def _size(batch: PackedBatch, seconds: float, crew: Crew) -> BatchSize:
    rows, row_len = batch.shape
    return BatchSize(
        sequences=len(batch.placements),
        rows=rows,
        row_len=row_len,
        tokens=batch.num_tokens,
        seconds=seconds,
        crew=crew,
    )


def _cut(outputs: EncoderOutputs, place: Placement, rounding: Rounding, *, with_states: bool) -> Encoding:
    pooled = {pooling: rounding.keep(vectors[place.segment]) for pooling, vectors in outputs.pooled.items()}
    states = None
    if with_states:
        if outputs.last_hidden_state is None:
            raise RuntimeError("The encoder session was asked for token states and gave none.")
        states = rounding.keep(outputs.last_hidden_state[place.row, place.start : place.start + place.length])
    return Encoding(pooled=pooled, states=states)
