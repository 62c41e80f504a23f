"""Run the encoder on made-up batches before the first request: to have its memory, and to learn its cost."""

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from export.manifest import EncoderEntry
from service.cost import CostModel, CostSample, fit_cost
from service.lanes import Crew
from service.packing import PackedBatch, pack
from service.sessions import EncoderSession
from service.tokenization import TokenizedInput

REPEATS = 2
"""Runs of each shape. The quickest counts: the first one allocates, and other processes only ever add."""


def measure_cost(
    session: EncoderSession,
    entry: EncoderEntry,
    *,
    row_len: int,
    max_batch_tokens: int,
    clock: Callable[[], float] = time.perf_counter,
) -> CostModel:
    """Time a few batches from one short text to a full budget, and fit the cost model to them."""
    samples = []
    for lengths in _workload(row_len=min(row_len, entry.max_length), max_batch_tokens=max_batch_tokens):
        batch = _pack(session, entry, lengths)
        seconds = []
        for _ in range(REPEATS):
            started_s = clock()
            session.encode(batch, with_states=False, crew=Crew.ALL)
            seconds.append(clock() - started_s)
        rows, length = batch.shape
        samples.append(CostSample(rows=rows, row_len=length, seconds=max(min(seconds), 1e-9)))
    return fit_cost(samples)


def full_batch(
    session: EncoderSession, entry: EncoderEntry, *, row_len: int, max_batch_tokens: int
) -> PackedBatch:
    """The largest of the batches that ``measure_cost`` times."""
    *_, lengths = _workload(row_len=min(row_len, entry.max_length), max_batch_tokens=max_batch_tokens)
    return _pack(session, entry, lengths)


def _pack(session: EncoderSession, entry: EncoderEntry, lengths: Sequence[int]) -> PackedBatch:
    return pack(
        [_sequence(length, entry.pad_token_id) for length in lengths],
        session.row_shapes,
        pad_token_id=entry.pad_token_id,
        position_offset=entry.position_offset,
    )


def _workload(*, row_len: int, max_batch_tokens: int) -> Iterable[list[int]]:
    """Lengths of the batches to time: one short text, half a row, a row, and the whole budget in rows."""
    return [16], [max(1, row_len // 2)], [row_len], [row_len] * max(2, max_batch_tokens // row_len)


def _sequence(length: int, token_id: int) -> TokenizedInput:
    return TokenizedInput(
        input_ids=np.full(length, token_id, dtype=np.int32),
        token_type_ids=np.zeros(length, dtype=np.uint8),
        is_pair=False,
        is_truncated=False,
    )
