import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.peers.alone import harmonic_mix

rates = st.floats(1, 1e5)


@given(rates, rates)
def test_without_duplicates_the_mix_is_the_cold_rate_and_with_nothing_else_the_other(
    cold: float, hit: float
) -> None:
    assert harmonic_mix(cold, hit, share=0) == pytest.approx(cold)
    assert harmonic_mix(cold, hit, share=1) == pytest.approx(hit)


def test_half_the_requests_for_nothing_double_the_rate() -> None:
    assert harmonic_mix(100, 1e12, share=0.5) == pytest.approx(200)
