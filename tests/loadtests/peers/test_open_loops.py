import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.peers.open_loops import highest_rate


@given(st.floats(0, 100), st.integers(1, 12))
def test_the_search_ends_just_below_what_a_side_can_do(limit: float, probes: int) -> None:
    found = highest_rate(lambda rate: rate <= limit, 0, 100, probes=probes)
    assert found <= limit
    assert limit - found <= 100 / 2**probes + 1e-9


def test_a_side_that_keeps_up_with_nothing_is_left_where_the_search_starts() -> None:
    assert highest_rate(lambda _: False, 30, 110, probes=4) == 30
    assert highest_rate(lambda _: True, 30, 110, probes=4) == pytest.approx(105)
