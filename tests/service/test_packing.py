import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.manifest import PADDING_SEGMENT
from service.packing import (
    BucketedRows,
    FixedRows,
    RowShapes,
    SingleRows,
    first_fit_decreasing,
    pack,
    pack_states,
    round_up,
)
from tests.support.service_fakes import sequence, tokens

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=60)
SHAPES = st.sampled_from(
    [
        BucketedRows(row_len=32),
        BucketedRows(row_len=128),
        FixedRows(row_lens=(32, 100), row_counts=(1, 4, 16)),
        FixedRows(row_lens=(32, 100), row_counts=(1, 4, 16), are_shared=False),
        SingleRows(),
    ]
)


@given(LENGTHS, SHAPES)
def test_every_token_is_placed_once_and_nothing_else(lengths: list[int], shapes: RowShapes) -> None:
    sequences = [sequence(length, first_id=1000 * index + 1) for index, length in enumerate(lengths)]
    batch = pack(sequences, shapes, pad_token_id=0, position_offset=0)
    real = batch.input_ids[batch.segment_ids != PADDING_SEGMENT]
    assert sorted(real.tolist()) == sorted(int(i) for each in sequences for i in each.input_ids)
    assert (batch.input_ids[batch.segment_ids == PADDING_SEGMENT] == 0).all()
    assert batch.num_tokens == sum(lengths)


@given(LENGTHS, SHAPES)
def test_each_sequence_lies_where_its_placement_says(lengths: list[int], shapes: RowShapes) -> None:
    sequences = [sequence(length, first_id=1000 * index + 1) for index, length in enumerate(lengths)]
    batch = pack(sequences, shapes, pad_token_id=0, position_offset=2)
    for each, place in zip(sequences, batch.placements, strict=True):
        here = (place.row, slice(place.start, place.start + place.length))
        assert batch.input_ids[here].tolist() == each.input_ids.tolist()
        assert (batch.segment_ids[here] == place.segment).all()
        assert batch.position_ids[here].tolist() == list(range(2, 2 + place.length))


@given(LENGTHS, SHAPES)
def test_segments_ascend_row_by_row_without_gaps(lengths: list[int], shapes: RowShapes) -> None:
    batch = pack([sequence(length) for length in lengths], shapes, pad_token_id=0, position_offset=0)
    flat = batch.segment_ids[batch.segment_ids != PADDING_SEGMENT]
    assert (np.diff(flat) >= 0).all()
    assert np.unique(flat).tolist() == list(range(len(lengths)))


@given(LENGTHS)
def test_first_fit_overfills_no_row_and_stays_near_the_optimum(lengths: list[int]) -> None:
    rows = first_fit_decreasing(lengths, 100)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= 100 for row in rows)
    assert len(rows) <= 11 / 9 * -(-sum(lengths) // 100) + 1 or min(lengths) > 33


def test_token_types_follow_their_tokens() -> None:
    batch = pack(
        [tokens(5, 6, 7, types=[0, 1, 1])],
        FixedRows(row_lens=(8,), row_counts=(1,)),
        pad_token_id=9,
        position_offset=0,
    )
    assert batch.token_type_ids[0, :3].tolist() == [0, 1, 1]
    assert batch.input_ids[0, 3:].tolist() == [9] * 5


@pytest.mark.parametrize(
    ("lengths", "shape"),
    [
        ([5], (1, 5)),  # alone: nothing is padding
        ([60, 60], (1, 120)),
        ([75, 75], (2, 80)),  # not two rows of 128
        ([200], (1, 200)),  # longer than a row: the row grows
        ([128] * 4, (4, 128)),
    ],
)
def test_cpu_rows_are_as_short_as_the_batch_allows(lengths: list[int], shape: tuple[int, int]) -> None:
    batch = pack([sequence(n) for n in lengths], BucketedRows(row_len=128), pad_token_id=0, position_offset=0)
    assert batch.shape == shape


@given(LENGTHS)
def test_fixed_rows_meet_few_shapes(lengths: list[int]) -> None:
    shapes = FixedRows(row_lens=(32, 100), row_counts=(1, 4))
    layout = shapes.layout(lengths)
    assert layout.row_len in (32, 100)
    assert len(layout.rows) == 1 or len(layout.rows) % 4 == 0


@pytest.mark.parametrize("are_shared", [True, False])
def test_a_sequence_longer_than_every_fixed_row_is_an_error(are_shared: bool) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        FixedRows(row_lens=(8,), row_counts=(1,), are_shared=are_shared).layout([9])


@pytest.mark.parametrize(
    "shapes", [SingleRows(), FixedRows(row_lens=(16, 32, 64, 100), row_counts=(1, 4), are_shared=False)]
)
@given(LENGTHS)
def test_rows_that_are_not_shared_hold_one_sequence_each(
    shapes: SingleRows | FixedRows, lengths: list[int]
) -> None:
    together = shapes.split(lengths)
    assert sorted(index for group in together for index in group) == list(range(len(lengths)))
    for group in together:
        layout = shapes.layout([lengths[index] for index in group])
        assert [row for row in layout.rows if row] == [(place,) for place in range(len(group))]
        assert layout.row_len >= max(lengths[index] for index in group)


@given(LENGTHS)
def test_padding_never_outgrows_the_sequences_of_single_rows(lengths: list[int]) -> None:
    shapes = SingleRows()
    together = shapes.split(lengths)
    assert len(together) <= 5  # 8, 16, 32, 64 and 128
    for group in together:
        row_len = shapes.layout([lengths[index] for index in group]).row_len
        assert all(row_len < 2 * round_up(lengths[index]) for index in group)


@given(LENGTHS)
def test_sequences_that_share_rows_run_together(lengths: list[int]) -> None:
    for shapes in (BucketedRows(), FixedRows(row_lens=(100,), row_counts=(1,))):
        assert shapes.split(lengths) == [list(range(len(lengths)))]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_packed_states_keep_order_and_content(lengths: list[int]) -> None:
    states = [np.full((length, 3), index, dtype=np.float32) for index, length in enumerate(lengths)]
    given = pack_states(states, row_len=16)
    packed, segment_ids = given.last_hidden_state, given.segment_ids
    for index, each in enumerate(states):
        assert packed[segment_ids == index].tolist() == each.tolist()
    assert not packed[segment_ids == PADDING_SEGMENT].any()
    assert (np.diff(segment_ids[segment_ids != PADDING_SEGMENT]) >= 0).all()


def test_states_that_fit_one_row_get_one_that_is_no_longer_than_it_must_be() -> None:
    states = [np.ones((length, 3), dtype=np.float32) for length in (3, 4)]
    assert pack_states(states, row_len=128).segment_ids.shape == (1, 8)
