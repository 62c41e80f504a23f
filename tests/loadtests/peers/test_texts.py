import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.errors import LoadTestError
from loadtests.peers.texts import LONG_TOKENS, SPECIAL_TOKENS, Rotation, with_long_tail

TEXTS = [f"text {number}" for number in range(10)]


@given(st.lists(st.integers(0, 10), max_size=20))
def test_a_rotation_hands_out_texts_in_their_order_for_ever(counts: list[int]) -> None:
    rotation = Rotation(TEXTS)
    taken = [text for count in counts for text in rotation.take(count)]
    assert taken == [TEXTS[place % len(TEXTS)] for place in range(len(taken))]


@given(st.integers(0, 10), st.data())
def test_texts_given_back_come_next(count: int, data: st.DataObject) -> None:
    rotation = Rotation(TEXTS)
    taken = rotation.take(count)
    unsent = data.draw(st.integers(0, count))
    rotation.give_back(unsent)
    assert rotation.take(unsent) == taken[count - unsent :]


def test_a_run_never_repeats_itself() -> None:
    with pytest.raises(LoadTestError, match="11 distinct texts are needed at once, there are 10"):
        Rotation(TEXTS).take(11)


@given(st.integers(1, 200), st.integers(3, 80), st.integers(0, 10**6))
def test_long_texts_are_whole_texts_joined_within_their_bounds(count: int, longest: int, seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.randint(3, longest) for _ in range(count)]
    texts = [" ".join([f"w{place}"] * (length - SPECIAL_TOKENS)) for place, length in enumerate(lengths)]
    mixed = with_long_tail(texts, lengths, generator=random.Random(seed))
    assert len(mixed) == len(texts)
    changed = [text for text, before in zip(mixed, texts, strict=True) if text != before]
    for text in changed:
        assert len(text.split()) + SPECIAL_TOKENS <= LONG_TOKENS[1]
        # Either the goal is reached, or the next text would have led beyond the bound, or all are in it.
        total = sum(lengths) - SPECIAL_TOKENS * (len(lengths) - 1)
        assert len(text.split()) + SPECIAL_TOKENS >= min(LONG_TOKENS[0], LONG_TOKENS[1] - longest, total)


def test_about_one_text_in_twenty_is_long() -> None:
    texts = [f"a{place} b c d e f g h" for place in range(4000)]
    mixed = with_long_tail(texts, [10] * 4000, generator=random.Random(0))
    assert 0.04 < sum(text != before for text, before in zip(mixed, texts, strict=True)) / 4000 < 0.06
