from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.second_tier.breaker import CircuitBreaker
from tests.support.service_fakes import FakeClock


def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(max_failures=3, cooldown_s=5.0, clock=clock)


def opened(clock: FakeClock) -> CircuitBreaker:
    found = breaker(clock)
    for _ in range(3):
        assert found.allows()
        found.failed()
    return found


@given(st.lists(st.booleans(), max_size=50))
def test_it_stays_closed_while_no_three_calls_in_a_row_fail(succeeds: list[bool]) -> None:
    found, in_a_row = breaker(FakeClock()), 0
    for each in succeeds:
        if in_a_row == 2 and not each:
            found.succeeded()
            in_a_row = 0
            continue
        found.succeeded() if each else found.failed()
        in_a_row = 0 if each else in_a_row + 1
        assert found.allows()


def test_three_failures_open_it() -> None:
    found = opened(FakeClock())
    assert found.is_open
    assert not found.allows()


def test_after_the_cool_down_one_call_goes_through_and_its_success_closes_it() -> None:
    clock = FakeClock()
    found = opened(clock)
    clock.advance(5.0)
    assert found.allows()
    assert not found.allows(), "one alone"
    found.succeeded()
    assert not found.is_open
    assert found.allows()


def test_a_trial_that_fails_or_is_never_reported_costs_another_cool_down() -> None:
    for report in (True, False):
        clock = FakeClock()
        found = opened(clock)
        clock.advance(5.0)
        assert found.allows()
        if report:
            found.failed()
        clock.advance(4.9)
        assert not found.allows()
        clock.advance(0.2)
        assert found.allows()


@given(st.lists(st.floats(0.1, 4.0), max_size=40))
def test_a_server_that_is_gone_is_tried_at_most_once_a_cool_down(pauses: list[float]) -> None:
    clock = FakeClock()
    found = opened(clock)
    tried_s = []
    for pause in pauses:
        clock.advance(pause)
        if found.allows():
            tried_s.append(clock.now_s)
            found.failed()
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(tried_s))
