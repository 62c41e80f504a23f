"""Who computes what next, and how threads are divided."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lanes import (
    ALONE_TOKENS,
    LANE_TOKENS,
    Crew,
    Dispatch,
    Waiting,
    Way,
    candidate_ways,
    next_dispatch,
)

LIMIT = 256


def ways(*pairs: tuple[int, int]) -> tuple[Way, ...]:
    return tuple(Way(lanes=lanes, threads=threads) for lanes, threads in pairs)


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        (1, ways((1, 1))),
        (2, ways((1, 2), (2, 1))),
        (3, ways((1, 3), (3, 1))),
        (8, ways((1, 8), (4, 2), (8, 1))),
    ],
)
def test_every_way_uses_every_thread(threads: int, expected: tuple[Way, ...]) -> None:
    assert candidate_ways(threads) == expected
    assert all(way.all_threads == threads for way in candidate_ways(threads))


def step(tokens: int, running: Sequence[Crew] = (), *, sequences: int = 2, lanes: int = 2) -> Dispatch | None:
    waiting = Waiting(sequences=sequences, tokens=tokens)
    return next_dispatch(waiting, running, lanes=lanes, max_tokens=LIMIT)


def test_a_little_that_waits_is_computed_by_all_together() -> None:
    assert step(ALONE_TOKENS) == Dispatch(crew=Crew.ALL, max_tokens=LIMIT)


def test_so_is_one_long_text_alone() -> None:
    assert step(10 * LIMIT, sequences=1) == Dispatch(crew=Crew.ALL, max_tokens=LIMIT)


def test_of_more_a_free_lane_takes_half_its_share_but_no_crumbs() -> None:
    assert step(401) == Dispatch(crew=Crew.LANE, max_tokens=101)
    assert step(401, [Crew.LANE]) == Dispatch(crew=Crew.LANE, max_tokens=201)
    assert step(ALONE_TOKENS + 1) == Dispatch(crew=Crew.LANE, max_tokens=LANE_TOKENS)
    assert step(10**6) == Dispatch(crew=Crew.LANE, max_tokens=LIMIT)


def test_a_job_fills_no_batch_that_somebody_waits_for() -> None:
    beside_a_job = Waiting(sequences=500, tokens=9000, urgent_tokens=18)
    assert next_dispatch(beside_a_job, [Crew.LANE], lanes=2, max_tokens=LIMIT) == Dispatch(
        crew=Crew.LANE, max_tokens=LANE_TOKENS
    )
    many = Waiting(sequences=500, tokens=9000, urgent_tokens=200)
    assert next_dispatch(many, [], lanes=2, max_tokens=LIMIT) == Dispatch(
        crew=Crew.LANE, max_tokens=LANE_TOKENS
    )
    assert next_dispatch(many, [Crew.LANE], lanes=2, max_tokens=LIMIT) == Dispatch(
        crew=Crew.LANE, max_tokens=100
    )


def test_what_comes_beside_a_running_lane_goes_to_a_free_one_however_little_it_is() -> None:
    assert step(5, [Crew.LANE], sequences=1) == Dispatch(crew=Crew.LANE, max_tokens=LANE_TOKENS)


@pytest.mark.parametrize("running", [[Crew.ALL], [Crew.LANE, Crew.LANE]])
def test_nothing_is_handed_over_while_no_lane_is_free(running: list[Crew]) -> None:
    assert step(100 * LIMIT, running) is None


def test_with_one_lane_only_a_full_batch_is_handed_over_early() -> None:
    everything = Dispatch(crew=Crew.ALL, max_tokens=LIMIT)
    assert step(5, lanes=1) == everything
    assert step(LIMIT - 1, [Crew.ALL], lanes=1) is None
    assert step(LIMIT, [Crew.ALL], lanes=1) == everything
    assert step(LIMIT, [Crew.ALL, Crew.ALL], lanes=1) is None


@given(
    tokens=st.integers(1, 10_000),
    lanes=st.integers(1, 8),
    lanes_running=st.integers(0, 8),
    max_tokens=st.integers(1, 600),
)
def test_no_lane_idles_while_work_waits_and_no_batch_outgrows_its_limit(
    tokens: int, lanes: int, lanes_running: int, max_tokens: int
) -> None:
    running = [Crew.LANE if lanes > 1 else Crew.ALL] * min(lanes, lanes_running)
    waiting = Waiting(sequences=tokens, tokens=tokens)
    found = next_dispatch(waiting, running, lanes=lanes, max_tokens=max_tokens)
    assert (found is not None) >= (len(running) < lanes)
    assert found is None or 1 <= found.max_tokens <= max_tokens


def test_nothing_is_dispatched_of_nothing() -> None:
    assert step(0, sequences=0) is None
