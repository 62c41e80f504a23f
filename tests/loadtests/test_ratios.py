import pytest

from loadtests.ratios import Spread, interleave, ratio


def test_the_sides_take_turns_and_never_overlap() -> None:
    events: list[str] = []

    def side(name: str, value: float) -> float:
        events.append(name)
        return value

    done: list[int] = []
    interleave(
        lambda pair: side(f"a{pair}", 1), lambda pair: side(f"b{pair}", 1), pairs=3, on_pair=done.append
    )
    assert events == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert done == [1, 2, 3]


def test_the_result_is_the_ratio_of_the_medians() -> None:
    assert ratio([1, 2, 9], [4, 2, 5]).of_medians == pytest.approx(2 / 4)


def test_one_disturbed_run_does_not_move_the_result() -> None:
    calm = ratio([80, 81, 79, 80, 80], [100] * 5)
    disturbed = ratio([80, 81, 79, 8, 80], [100] * 5)
    assert disturbed.of_medians == calm.of_medians


def test_the_spread_is_that_of_the_pairs() -> None:
    spread = ratio([1, 4, 9], [2, 2, 3]).of_pairs
    assert (spread.low, spread.median, spread.high) == (0.5, 2.0, 3.0)


def test_a_spread_of_one_value_is_that_value() -> None:
    spread = Spread(values=(3.0,))
    assert spread.low == spread.median == spread.high == 3.0
