import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.balancing.dtp import DTP, EPSILON, focal_weight

kpis = st.floats(-1, 1)


@given(low=kpis, high=kpis, gamma=st.floats(0, 5))
def test_the_weight_falls_as_the_score_rises(low: float, high: float, gamma: float) -> None:
    low, high = sorted((low, high))
    assert focal_weight(low, gamma) >= focal_weight(high, gamma) >= 0


@given(gamma=st.floats(0, 5))
def test_a_solved_task_weighs_nothing_and_a_hopeless_one_a_finite_number(gamma: float) -> None:
    assert focal_weight(1.0, gamma) == 0
    assert focal_weight(0.0, gamma) == focal_weight(-0.9, gamma) == focal_weight(EPSILON, gamma)
    assert math.isfinite(focal_weight(0.0, gamma))


def test_the_weight_is_the_papers() -> None:
    assert focal_weight(0.25, 2.0) == pytest.approx(-(0.75**2) * math.log(0.25))


def test_weights_are_equal_before_the_first_evaluation_and_then_follow_the_average() -> None:
    balancer = DTP("ab", gamma=1.0, smoothing=0.5)
    assert balancer.weigh({"a": 1.0, "b": 1.0}) == {"a": 1.0, "b": 1.0}
    balancer.end_evaluation({"a": 0.8, "b": 0.4})
    balancer.end_evaluation({"a": 0.6, "b": 0.2})
    found = balancer.weigh({"a": 1.0, "b": 1.0})
    assert found == pytest.approx({"a": focal_weight(0.7, 1.0), "b": focal_weight(0.3, 1.0)})
    assert found["b"] > found["a"]
