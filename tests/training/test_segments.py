import torch
from hypothesis import given

from tests.support.layouts import MAX_LENGTH, Layout, layouts
from training.segments import (
    NO_SEGMENT,
    additive_mask,
    as_segments,
    first_tokens,
    membership,
    segment_maxima,
    segment_means,
)


@given(layout=layouts)
def test_first_tokens_are_the_segments_starts_row_by_row(layout: Layout) -> None:
    _, segment_ids = layout.packed
    row_len = segment_ids.shape[1]
    assert first_tokens(segment_ids).tolist() == [row * row_len + start for row, start, _ in layout.places]


@given(layout=layouts)
def test_membership_gives_each_segment_its_own_tokens(layout: Layout) -> None:
    _, segment_ids = layout.packed
    members = membership(segment_ids)
    assert members.sum(dim=1).tolist() == [len(sequence) for sequence in layout.sequences]
    assert members.sum(dim=0).tolist() == (segment_ids.flatten() != NO_SEGMENT).int().tolist()


@given(layout=layouts)
def test_means_and_maxima_are_over_the_segments_own_tokens(layout: Layout) -> None:
    means = torch.stack([sequence.mean(dim=0) for sequence in layout.sequences])
    torch.testing.assert_close(segment_means(*layout.packed), means, atol=1e-5, rtol=1e-5)
    maxima = torch.stack([sequence.amax(dim=0) for sequence in layout.sequences])
    assert torch.equal(segment_maxima(*layout.packed, max_length=MAX_LENGTH), maxima)


def test_a_maximum_sees_every_token_of_the_longest_segment() -> None:
    for length in range(1, 40):
        states = torch.arange(length).reshape(1, length, 1).float()
        found = segment_maxima(states, torch.zeros(1, length, dtype=torch.int64), max_length=length)
        assert found.item() == length - 1


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
