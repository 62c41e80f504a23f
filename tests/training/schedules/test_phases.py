import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.samplers import EveryTaskSampler, RoundRobinSampler
from training.schedules.phases import CycleSampler, Plateau, TwoPhaseSampler

TASKS = ["a", "b"]


def two_phase(patience: int = 2) -> TwoPhaseSampler:
    plateau = Plateau(patience=patience, min_gain=0.01)
    return TwoPhaseSampler(EveryTaskSampler(TASKS), RoundRobinSampler(TASKS), plateau)


@pytest.mark.parametrize(
    ("scores", "reached"),
    [
        ([0.1, 0.2, 0.3, 0.4], [False] * 4),
        ([0.5, 0.505, 0.509], [False, False, True]),  # gains too small to count
        ([0.5, 0.4, 0.6, 0.6, 0.6], [False, False, False, False, True]),
        ([0.5, 0.5, 0.5, 0.9], [False, False, True, True]),  # once reached, it stays reached
    ],
)
def test_a_plateau_is_so_many_evaluations_without_a_gain(scores: list[float], reached: list[bool]) -> None:
    plateau = Plateau(patience=2, min_gain=0.01)
    found = []
    for score in scores:
        plateau.update(score)
        found.append(plateau.is_reached)
    assert found == reached


def test_the_second_phase_starts_at_the_plateau_and_never_ends() -> None:
    sampler = two_phase()
    found = []
    for score in [0.5, 0.5, 0.5, 0.9, 0.9]:
        found.append(sampler.draw())
        sampler.end_evaluation({}, score)
    assert found == [("a", "b"), ("a", "b"), ("a", "b"), ("a",), ("b",)]


def test_an_n_to_one_cycle_ends_with_the_other_sampler() -> None:
    sampler = CycleSampler(RoundRobinSampler(TASKS), EveryTaskSampler(TASKS), n=3)
    found = [sampler.draw() for _ in range(8)]
    assert found == [("a",), ("b",), ("a",), ("a", "b"), ("b",), ("a",), ("b",), ("a", "b")]
    assert sampler.probabilities == pytest.approx({"a": (1.5 + 1) / 4, "b": (1.5 + 1) / 4})


@given(draws=st.integers(0, 50), n=st.integers(1, 6))
def test_a_cycle_knows_how_many_draws_it_leaves_to_the_first_sampler(draws: int, n: int) -> None:
    sampler = CycleSampler(RoundRobinSampler(TASKS), EveryTaskSampler(TASKS), n=n)
    singles = [drawn for drawn in (sampler.draw() for _ in range(draws)) if len(drawn) == 1]
    assert CycleSampler.draws_of_often(draws, n=n) == len(singles)


@given(scores=st.lists(st.floats(0, 1), max_size=8), later=st.lists(st.floats(0, 1), max_size=8))
def test_restored_phases_and_cycles_go_on_as_before(scores: list[float], later: list[float]) -> None:
    for build in (
        two_phase,
        lambda: CycleSampler(two_phase(), RoundRobinSampler(TASKS), n=2),
    ):
        one, other = build(), build()
        for score in scores:
            one.draw()
            if isinstance(one, TwoPhaseSampler):
                one.end_evaluation({}, score)
        other.load_state_dict(json.loads(json.dumps(one.state_dict())))
        for score in later:
            assert one.draw() == other.draw()
            for sampler in (one, other):
                if isinstance(sampler, TwoPhaseSampler):
                    sampler.end_evaluation({}, score)
