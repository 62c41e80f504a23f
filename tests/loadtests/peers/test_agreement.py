import pytest

from loadtests.errors import LoadTestError
from loadtests.peers.agreement import compare_scores

OURS = [{"bad": 0.2, "good": 0.8}, {"bad": 0.9, "good": 0.1}]


def test_the_largest_difference_of_any_score_is_told() -> None:
    theirs = [{"bad": 0.2004, "good": 0.7996}, {"bad": 0.8999, "good": 0.1001}]
    assert compare_scores(OURS, theirs, title="peer") == pytest.approx(4e-4)


def test_another_model_is_refused() -> None:
    theirs = [OURS[0], {"bad": 0.8, "good": 0.2}]
    with pytest.raises(LoadTestError, match=r"peer is refused: its scores differ by 0\.1"):
        compare_scores(OURS, theirs, title="peer")


def test_labels_may_differ_within_a_tie_alone() -> None:
    ours = [{"bad": 0.5004, "good": 0.4996}, OURS[1]]
    theirs = [{"bad": 0.4999, "good": 0.5001}, OURS[1]]
    assert compare_scores(ours, theirs, title="peer") < 1e-3
    ours[0] = {"bad": 0.5008, "good": 0.4992}
    with pytest.raises(LoadTestError, match="it says good where we say bad"):
        compare_scores(ours, theirs, title="peer")


def test_a_model_that_says_the_same_of_every_text_compares_nothing() -> None:
    same = [OURS[0], dict(OURS[0])]
    with pytest.raises(LoadTestError, match="hide any difference"):
        compare_scores(same, same, title="peer")


def test_no_number_is_no_agreement() -> None:
    with pytest.raises(LoadTestError, match="refused"):
        compare_scores(OURS, [OURS[0], {"bad": float("nan"), "good": 0.1}], title="peer")
