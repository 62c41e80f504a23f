import torch
from hypothesis import given

from tests.training.heads.layouts import MAX_LENGTH, Layout, layouts
from training.heads.segments import (
    NO_SEGMENT,
    additive_mask,
    as_segments,
    first_tokens,
    last_tokens,
    membership,
    running_max,
)


@given(layout=layouts)
def test_first_and_last_tokens_are_the_segments_ends_row_by_row(layout: Layout) -> None:
    _, segment_ids = layout.packed
    row_len = segment_ids.shape[1]
    assert first_tokens(segment_ids).tolist() == [row * row_len + start for row, start, _ in layout.places]
    assert last_tokens(segment_ids).tolist() == [
        row * row_len + start + length - 1 for row, start, length in layout.places
    ]


@given(layout=layouts)
def test_membership_gives_each_segment_its_own_tokens(layout: Layout) -> None:
    _, segment_ids = layout.packed
    members = membership(segment_ids)
    assert members.sum(dim=1).tolist() == [len(sequence) for sequence in layout.sequences]
    assert members.sum(dim=0).tolist() == (segment_ids.flatten() != NO_SEGMENT).int().tolist()


@given(layout=layouts)
def test_the_running_maximum_of_a_last_token_is_its_segments(layout: Layout) -> None:
    states, segment_ids = layout.packed
    found = running_max(states, segment_ids, max_length=MAX_LENGTH)
    for (row, start, length), sequence in zip(layout.places, layout.sequences, strict=True):
        expected = sequence.cummax(dim=0).values
        assert torch.equal(found[row, start : start + length], expected)


def test_a_running_maximum_reaches_as_far_as_the_longest_segment() -> None:
    for length in range(1, 40):
        states = torch.arange(length, 0, -1.0).reshape(1, length, 1)
        found = running_max(states, torch.zeros(1, length, dtype=torch.int64), max_length=length)
        assert found[0, -1, 0] == length


def test_the_mask_opens_the_own_segment_alone_and_lets_tails_see_themselves() -> None:
    mask = additive_mask(torch.tensor([[4, 4, 2, -1, -1]]), torch.float32)
    assert mask.dtype == torch.float32
    assert (mask[0, 0] == 0).int().tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
    ]


def test_a_padded_batch_has_one_segment_a_row() -> None:
    assert as_segments(torch.tensor([[1, 1, 0], [1, 1, 1]])).tolist() == [[0, 0, -1], [1, 1, 1]]
