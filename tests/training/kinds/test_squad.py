"""Against cases worked out by the official script's rules (evaluate-v1.1.py, evaluate-v2.0.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.kinds.squad import exact_match, f1, normalise


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("The  Lamp.", "lamp"),
        ("an apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("don't-stop", "dontstop"),
        ("theatre", "theatre"),
        ("«Лампа»", "«лампа»"),
        ("the", ""),
    ],
)
def test_answers_are_normalised_as_the_official_script_does(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "golds", "match", "overlap"),
    [
        ("the blue lamp", ["Blue lamp!"], 1, 1),
        ("blue lamp", ["lamp"], 0, 2 / 3),
        ("blue lamp", ["shoe", "a big blue lamp"], 0, 0.8),
        ("lamp lamp", ["lamp"], 0, 2 / 3),
        ("shoe", ["lamp"], 0, 0),
        ("", [], 1, 1),
        ("lamp", [], 0, 0),
        ("", ["lamp"], 0, 0),
        ("the", ["a"], 1, 1),
    ],
)
def test_scores_are_the_official_scripts(answer: str, golds: list[str], match: float, overlap: float) -> None:
    assert exact_match(answer, golds) == match
    assert f1(answer, golds) == pytest.approx(overlap)


@given(answer=st.text(max_size=20), gold=st.text(max_size=20))
def test_f1_is_symmetric_and_one_exactly_for_the_same_words(answer: str, gold: str) -> None:
    assert f1(answer, [gold]) == pytest.approx(f1(gold, [answer]))
    assert (f1(answer, [gold]) == 1) == (sorted(normalise(answer).split()) == sorted(normalise(gold).split()))
