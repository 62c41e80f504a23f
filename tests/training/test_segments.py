import torch
from hypothesis import given

from tests.support.layouts import MAX_LENGTH, Layout, layouts
from training.segments import (
    NO_SEGMENT,
    additive_mask,
    as_segments,
    first_tokens,
    membership,
    running_maxima,
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
    states, segment_ids = layout.packed
    means = torch.stack([sequence.mean(dim=0) for sequence in layout.sequences])
    found = segment_means(states.flatten(0, 1), membership(segment_ids))
    torch.testing.assert_close(found, means, atol=1e-5, rtol=1e-5)
    maxima = torch.stack([sequence.amax(dim=0) for sequence in layout.sequences])
    running = running_maxima(states.flatten(0, 1), segment_ids.flatten(), max_length=MAX_LENGTH)
    assert torch.equal(running[first_tokens(segment_ids)], maxima)


def test_a_maximum_sees_every_token_of_the_longest_segment() -> None:
    for length in range(1, 40):
        states, segments = torch.arange(length).unsqueeze(1).float(), torch.zeros(length)
        assert running_maxima(states, segments, max_length=length)[0] == length - 1


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
