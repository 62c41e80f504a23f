from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from service.encoding import HALF_TOLERANCE, LARGEST_HALF, BatchSize, PackedEncoder, Rounding
from service.lanes import Crew
from service.packing import BucketedRows, RowShapes, SingleRows
from service.settings import CacheDtype
from service.tokenization import TokenizedInput
from tests.support.service_fakes import FakeEncoderSession, manifest, sequence, tokens

ENTRY = manifest().encoder


def encoder(shapes: RowShapes | None = None, *, with_states: bool = False) -> PackedEncoder:
    return PackedEncoder(FakeEncoderSession(shapes), ENTRY, needs_states=lambda _: with_states)


@pytest.mark.parametrize("shapes", [BucketedRows(row_len=32), SingleRows()])
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_a_sequence_encodes_in_company_as_it_does_alone(shapes: RowShapes, lengths: list[int]) -> None:
    sequences = [sequence(length, 100 * index + 100) for index, length in enumerate(lengths)]
    together = encoder(shapes, with_states=True).encode(sequences, Crew.ALL)
    for each, found in zip(sequences, together, strict=True):
        (alone,) = encoder(with_states=True).encode([each], Crew.ALL)
        for pooling in ENTRY.poolings:
            np.testing.assert_allclose(found.pooled[pooling], alone.pooled[pooling], atol=1e-5)
        assert found.states is not None
        assert alone.states is not None
        np.testing.assert_allclose(found.states, alone.states, atol=1e-5)


def test_what_is_kept_owns_its_memory() -> None:
    (first, _) = encoder(with_states=True).encode([sequence(3), sequence(4)], Crew.ALL)
    assert first.states is not None
    assert first.states.base is None
    assert all(vector.base is None for vector in first.pooled.values())


def test_token_states_are_cut_only_for_the_sequences_that_need_them() -> None:
    session = FakeEncoderSession()

    def is_pair(each: TokenizedInput) -> bool:
        return each.is_pair

    packed = PackedEncoder(session, ENTRY, needs_states=is_pair)
    single, pair = packed.encode(
        [sequence(3), tokens(1, 5, 2, 6, 2, types=[0, 0, 0, 1, 1], is_pair=True)], Crew.ALL
    )
    assert single.states is None
    assert pair.states is not None
    assert pair.states.shape == (5, 4)


def test_batches_are_reported_with_their_size_and_time() -> None:
    sizes: list[BatchSize] = []
    ticks = count()
    packed = PackedEncoder(
        FakeEncoderSession(), ENTRY, needs_states=lambda _: False, on_batch=sizes.append, clock=ticks.__next__
    )
    packed.encode([sequence(3), sequence(4)], Crew.LANE)
    assert sizes == [BatchSize(sequences=2, rows=1, row_len=7, tokens=7, seconds=1, crew=Crew.LANE)]


def test_sequences_that_cannot_share_rows_run_with_others_of_their_length() -> None:
    sizes: list[BatchSize] = []
    session = FakeEncoderSession(SingleRows())
    packed = PackedEncoder(
        session, ENTRY, needs_states=lambda _: False, on_batch=sizes.append, clock=lambda: 0.0
    )
    packed.encode([sequence(3), sequence(40), sequence(5), sequence(33)], Crew.ALL)
    assert sizes == [
        BatchSize(sequences=2, rows=2, row_len=8, tokens=8, seconds=0.0, crew=Crew.ALL),
        BatchSize(sequences=2, rows=2, row_len=40, tokens=73, seconds=0.0, crew=Crew.ALL),
    ]


HALF = Rounding(CacheDtype.FP16)


@given(arrays(np.float32, 20, elements=st.floats(-1e6, 1e6, width=32)))
def test_rounding_to_fp16_errs_by_half_a_unit_in_the_last_place_at_most(numbers: NDArray[np.float32]) -> None:
    kept = HALF.keep(numbers)
    assert kept.dtype == np.float16
    within = np.abs(numbers) <= LARGEST_HALF
    gaps = np.abs(kept[within].astype(np.float64) - numbers[within])
    assert (gaps <= np.maximum(np.abs(numbers[within]) * 2.0**-11, 2.0**-25)).all()
    assert (np.abs(kept[~within]) == LARGEST_HALF).all(), "held at the largest instead of infinite"


def test_what_is_kept_in_fp16_takes_half_the_bytes_and_owns_them() -> None:
    packed = PackedEncoder(FakeEncoderSession(), ENTRY, needs_states=lambda _: True, rounding=HALF)
    (rounded,), (exact,) = (
        packed.encode([sequence(6)], Crew.ALL),
        encoder(with_states=True).encode([sequence(6)], Crew.ALL),
    )
    assert rounded.states is not None
    assert exact.states is not None
    for small, large in [
        (rounded.states, exact.states),
        *zip(rounded.pooled.values(), exact.pooled.values(), strict=True),
    ]:
        assert small.nbytes * 2 == large.nbytes
        assert small.base is None
        np.testing.assert_allclose(small, large, rtol=2**-11, atol=2**-25)


def test_only_fp16_asks_for_room_in_the_self_check() -> None:
    assert HALF.tolerance == HALF_TOLERANCE
    assert Rounding(CacheDtype.FP32).tolerance == 0
