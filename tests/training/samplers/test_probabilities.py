import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.samplers.probabilities import (
    annealed_to_size,
    annealed_to_uniform,
    check_probabilities,
    power,
    tempered,
    uniform,
)

sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=1)


def proportional(sizes: dict[str, int]) -> dict[str, float]:
    return {name: size / sum(sizes.values()) for name, size in sizes.items()}


@given(sizes=sizes)
def test_temperature_one_is_proportional_to_size(sizes: dict[str, int]) -> None:
    assert tempered(sizes, 1.0) == pytest.approx(proportional(sizes))


@given(sizes=sizes)
def test_a_large_temperature_is_uniform(sizes: dict[str, int]) -> None:
    assert tempered(sizes, 1e9) == pytest.approx(uniform(sizes), abs=1e-6)


@given(sizes=sizes, heat=st.floats(1, 100), cap=st.none() | st.integers(1, 10**6))
def test_probabilities_sum_to_one_and_keep_the_order_of_sizes(
    sizes: dict[str, int],
    heat: float,
    cap: int | None,
) -> None:
    found = tempered(sizes, heat, cap=cap)
    assert sum(found.values()) == pytest.approx(1)
    by_size = sorted(sizes, key=lambda name: sizes[name])
    assert all(found[a] <= found[b] for a, b in itertools.pairwise(by_size))


@given(sizes=sizes, heat=st.floats(1, 100))
def test_tasks_at_or_beyond_the_cap_are_drawn_alike(sizes: dict[str, int], heat: float) -> None:
    assert tempered(sizes, heat, cap=min(sizes.values())) == pytest.approx(uniform(sizes))
    assert tempered(sizes, heat, cap=max(sizes.values())) == pytest.approx(tempered(sizes, heat))


def test_temperature_two_is_the_square_root_of_size() -> None:
    assert tempered({"a": 9, "b": 1}, 2.0) == pytest.approx({"a": 0.75, "b": 0.25})
    assert power({"a": 9, "b": 1}, 0.5) == pytest.approx({"a": 0.75, "b": 0.25})


def test_huge_sizes_do_not_overflow() -> None:
    found = tempered({"huge": 10**300, "one": 1}, 1.0)
    assert found["huge"] == pytest.approx(1)
    assert sum(found.values()) == pytest.approx(1)


@given(sizes=sizes, epochs=st.integers(2, 50))
def test_annealing_to_uniform_goes_from_size_to_its_fifth_root(sizes: dict[str, int], epochs: int) -> None:
    assert annealed_to_uniform(sizes, 1, epochs=epochs) == pytest.approx(proportional(sizes))
    assert annealed_to_uniform(sizes, epochs, epochs=epochs) == pytest.approx(power(sizes, 0.2))


@given(sizes=sizes, epochs=st.integers(2, 50), data=st.data())
def test_annealing_to_uniform_never_turns_back(
    sizes: dict[str, int], epochs: int, data: st.DataObject
) -> None:
    assume(len(sizes) > 1)
    epoch = data.draw(st.integers(1, epochs - 1))
    largest = max(sizes, key=lambda name: sizes[name])
    now, later = (annealed_to_uniform(sizes, e, epochs=epochs)[largest] for e in (epoch, epoch + 1))
    assert later <= now + 1e-12


def test_a_run_of_one_epoch_has_nothing_to_anneal() -> None:
    assert annealed_to_uniform({"a": 3, "b": 1}, 1, epochs=1) == pytest.approx({"a": 0.75, "b": 0.25})


@given(sizes=sizes, reach=st.integers(1, 20), beyond=st.integers(0, 20))
def test_annealing_to_size_goes_from_uniform_to_size(sizes: dict[str, int], reach: int, beyond: int) -> None:
    assert annealed_to_size(sizes, 0, reach=reach) == pytest.approx(uniform(sizes))
    assert annealed_to_size(sizes, reach + beyond, reach=reach) == pytest.approx(proportional(sizes))


@given(sizes=sizes, reach=st.integers(1, 20), epoch=st.integers(0, 30))
def test_annealing_to_size_is_a_mixture_of_both_ends(sizes: dict[str, int], reach: int, epoch: int) -> None:
    a = min(1, epoch / reach)
    expected = {name: a * p + (1 - a) / len(sizes) for name, p in proportional(sizes).items()}
    assert annealed_to_size(sizes, epoch, reach=reach) == pytest.approx(expected)


@pytest.mark.parametrize(
    "wrong", [{"a": 0.5, "b": 0.4}, {"a": 1.2, "b": -0.2}, {"a": float("nan"), "b": 1.0}]
)
def test_what_is_no_distribution_is_refused_with_its_sum(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="that sum to 1"):
        check_probabilities(wrong)
