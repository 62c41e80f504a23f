"""Choices by measurement: what is measured, and what of it decides."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from export.manifest import Precision
from service.lanes import Way
from service.packing import pack
from service.settings import Provider
from service.tuning import candidate_precisions, choose_way, every_lane_busy, time_in_turn
from tests.support.service_fakes import PATIENCE_S, FakeClock, FakeEncoderSession, sequence

TOGETHER, LANES = Way(lanes=1, threads=2), Way(lanes=2, threads=1)


@pytest.mark.parametrize(
    ("together_s", "lanes_s", "expected"),
    [(1.0, 1.0, LANES), (0.95, 1.0, LANES), (0.85, 1.0, TOGETHER), (1.0, 0.5, LANES)],
)
def test_threads_work_together_only_where_that_is_clearly_quicker(
    together_s: float, lanes_s: float, expected: Way
) -> None:
    assert choose_way({TOGETHER: together_s, LANES: lanes_s}) == expected


def test_every_lane_encodes_at_the_same_time() -> None:
    session = FakeEncoderSession()
    session.lanes = 3
    session.gate.clear()
    batch = pack([sequence(3)], session.row_shapes, pad_token_id=0, position_offset=0)
    with every_lane_busy(session, batch) as run, ThreadPoolExecutor(1) as caller:
        running = caller.submit(run)
        assert session.entered.wait(PATIENCE_S)
        session.gate.set()
        running.result(PATIENCE_S)
    assert len(session.batches) == 3


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
