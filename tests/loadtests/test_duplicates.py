import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.duplicates import DuplicatingSource

TEXTS = [f"text {index}" for index in range(5000)]


def draw(count: int, *, duplicates: float, texts: list[str] = TEXTS, seed: int = 0) -> list[str]:
    source = DuplicatingSource(texts, duplicates=duplicates, generator=random.Random(seed))
    return [source.draw() for _ in range(count)]


@given(st.floats(0, 1), st.integers(0, 100))
def test_the_share_of_repetitions_is_the_one_asked_for(duplicates: float, seed: int) -> None:
    drawn = draw(4000, duplicates=duplicates, seed=seed)
    repeated = 1 - len(set(drawn)) / len(drawn)
    assert repeated == pytest.approx(duplicates, abs=0.05)


def test_without_duplicates_no_text_comes_twice() -> None:
    drawn = draw(len(TEXTS), duplicates=0)
    assert drawn == TEXTS


def test_with_nothing_but_duplicates_only_the_first_text_is_fresh() -> None:
    assert set(draw(50, duplicates=1)) == {TEXTS[0]}


def test_after_the_last_text_they_start_again() -> None:
    assert draw(5, duplicates=0, texts=["a", "b"]) == ["a", "b", "a", "b", "a"]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        DuplicatingSource(TEXTS, duplicates=share, generator=random.Random(0))


def test_no_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        DuplicatingSource([], duplicates=0, generator=random.Random(0))
