"""The rate holds over any time, whatever is asked when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.keys.bucket import TokenBucket
from tests.support.service_fakes import FakeClock

STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 100)), max_size=60)


@given(STEPS, st.floats(0.5, 20), st.integers(1, 50))
def test_no_more_is_taken_than_rate_and_burst_allow(
    steps: list[tuple[float, int]], rate_per_s: float, burst: int
) -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate_per_s=rate_per_s, burst=burst, clock=clock)
    taken, last = 0, 0
    for pause_s, count in steps:
        clock.advance(pause_s)
        if bucket.take(count) == 0.0:
            taken, last = taken + count, count
        # A request beyond the burst may be in debt, but only the last one.
        assert taken <= burst + rate_per_s * clock.now_s + max(0, last - burst) + 1e-6


@given(STEPS, st.floats(0.5, 20), st.integers(1, 50))
def test_after_the_wait_that_it_names_it_gives(
    steps: list[tuple[float, int]], rate_per_s: float, burst: int
) -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate_per_s=rate_per_s, burst=burst, clock=clock)
    for pause_s, count in steps:
        clock.advance(pause_s)
        wait_s = bucket.take(count)
        assert wait_s >= 0.0
        if wait_s:
            clock.advance(wait_s + 1e-6)
            assert bucket.take(count) == 0.0


@given(STEPS, st.floats(0.5, 20), st.integers(1, 50))
def test_what_is_given_back_at_once_was_never_taken(
    steps: list[tuple[float, int]], rate_per_s: float, burst: int
) -> None:
    clock = FakeClock()
    bucket, other = (TokenBucket(rate_per_s=rate_per_s, burst=burst, clock=clock) for _ in range(2))
    for pause_s, count in steps:
        clock.advance(pause_s)
        assert bucket.take(count) == pytest.approx(other.take(count))
        if bucket.take(1) == 0.0:
            bucket.give_back(1)


def test_what_is_given_back_late_does_not_exceed_the_burst() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate_per_s=1.0, burst=10.0, clock=clock)
    assert bucket.take(4) == 0.0
    clock.advance(3.0)
    bucket.give_back(4)
    assert bucket.take(10) == 0.0
    assert bucket.take(1) > 0.0


def test_what_is_refused_costs_nothing() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate_per_s=1.0, burst=10.0, clock=clock)
    assert bucket.take(9) == 0.0
    assert bucket.take(3) == pytest.approx(2.0)
    assert bucket.take(1) == 0.0
