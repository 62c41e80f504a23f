"""Choices by measurement: what is measured, and what of it decides."""

from collections.abc import Callable

import pytest

from export.manifest import Precision
from service.settings import Provider
from service.tuning import Way, candidate_precisions, candidate_ways, time_in_turn
from tests.support.service_fakes import FakeClock


def ways(*pairs: tuple[int, int]) -> tuple[Way, ...]:
    return tuple(Way(lanes=lanes, threads=threads) for lanes, threads in pairs)


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, ways((1, 1))),
        (2, ways((1, 2), (2, 1))),
        (3, ways((1, 3), (3, 1))),
        (8, ways((1, 8), (4, 2), (8, 1))),
    ],
)
def test_every_way_uses_every_core(cores: int, expected: tuple[Way, ...]) -> None:
    assert candidate_ways(cores) == expected
    assert all(way.lanes * way.threads == cores for way in candidate_ways(cores))


def test_a_provider_is_offered_what_it_computes_in() -> None:
    kept = list(Precision)
    assert candidate_precisions(kept, Provider.CPU) == (Precision.FP32, Precision.INT8)
    assert candidate_precisions(kept, Provider.CUDA) == (Precision.FP32, Precision.FP16)
    assert candidate_precisions([Precision.FP32, Precision.FP16], Provider.CPU) == (Precision.FP32,)


class Run:
    """Takes these seconds, one after the other."""

    def __init__(self, clock: FakeClock, *seconds: float) -> None:
        self._clock = clock
        self._seconds = list(seconds)
        self.count = 0

    def __call__(self) -> None:
        self._clock.advance(self._seconds[min(self.count, len(self._seconds) - 1)])
        self.count += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def timed(clock: FakeClock, runs: dict[str, Run], *, limit_s: float = 1e9) -> dict[str, float]:
    return time_in_turn(runs, rounds=3, limit_s=limit_s, clock=clock)


def test_the_quickest_counts_and_the_first_run_does_not(clock: FakeClock) -> None:
    runs = {"a": Run(clock, 0.01, 3.0, 2.0, 4.0), "b": Run(clock, 9.0, 2.5)}
    assert timed(clock, runs) == pytest.approx({"a": 2.0, "b": 2.5})
    assert {name: run.count for name, run in runs.items()} == {"a": 4, "b": 4}


def test_no_round_begins_after_the_limit_but_the_first_does(clock: FakeClock) -> None:
    runs = {"a": Run(clock, 1.0), "b": Run(clock, 1.0)}
    assert timed(clock, runs, limit_s=3.5).keys() == {"a", "b"}
    assert runs["a"].count == runs["b"].count == 2


def test_runs_take_turns(clock: FakeClock) -> None:
    order: list[str] = []

    def run(name: str) -> Callable[[], None]:
        return lambda: order.append(name)

    time_in_turn({"a": run("a"), "b": run("b")}, rounds=2, limit_s=1e9, clock=clock)
    assert "".join(order) == "ababab"
