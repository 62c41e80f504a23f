import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.balancing import BalancerFactory, FixedScale, InitialScale, LossWeighing, StepObservation
from training.balancing.scale import LossScale

FACTORY = BalancerFactory(tasks=("a", "b"), epoch_steps=4)
EQUAL = FixedScale({"a": 1.0, "b": 1.0})


def weighing(scale: LossScale = EQUAL, **balancer: float) -> LossWeighing:
    chosen = FACTORY.uncertainty(**balancer) if balancer else FACTORY.constant()
    return LossWeighing(weights={"a": 1.0, "b": 0.5}, scale=scale, balancer=chosen)


@given(a=st.floats(0, 100), b=st.floats(0, 100))
def test_the_constant_balancer_gives_the_declared_weights(a: float, b: float) -> None:
    assert weighing().weigh({"a": a, "b": b}) == {"a": 1.0, "b": 0.5}
    assert weighing().weigh({"b": b}) == {"b": 0.5}


def test_a_scale_divides_the_loss_and_so_its_gradient() -> None:
    scale = FixedScale({"a": math.log(5), "b": 2.0})
    assert weighing(scale).weigh({"a": 1.0, "b": 1.0}) == pytest.approx({"a": 1 / math.log(5), "b": 0.25})


def test_the_initial_scale_is_the_mean_of_the_first_losses() -> None:
    scale = InitialScale(steps=2)
    assert scale.divisors({"a": 4.0}) == {"a": 4.0}
    assert scale.divisors({"a": 2.0, "b": 8.0}) == {"a": 3.0, "b": 8.0}
    assert scale.divisors({"a": 100.0}) == {"a": 3.0}


def test_the_balancer_sees_scaled_and_weighted_losses() -> None:
    """UW at ``s = 0`` weighs ½; its optimum for the fixed loss is then ``exp(s) = weight·L/scale``."""
    learned = weighing(FixedScale({"a": 4.0, "b": 4.0}), learning_rate=0.05)
    losses = {"a": 8.0, "b": 8.0}
    assert learned.weigh(losses) == pytest.approx({"a": 0.125, "b": 0.0625})
    for _ in range(600):
        learned.weigh(losses)
        learned.end_step(StepObservation(losses=losses))
    scales = learned.state_dict()["balancer"]["scales"]
    assert [float(s) for s in scales.values()] == pytest.approx([math.log(2), math.log(1)], abs=0.02)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_teaches_the_balancer_nothing(broken: float) -> None:
    one, other = (weighing(InitialScale(steps=3), learning_rate=0.1) for _ in range(2))
    assert one.weigh({"a": broken, "b": 1.0}) == {"a": 1.0, "b": 0.5}
    one.end_step(StepObservation(losses={"a": broken, "b": 1.0}))
    for _ in range(3):
        losses = {"a": 2.0, "b": 3.0}
        assert one.weigh(losses) == other.weigh(losses)
        for found in (one, other):
            found.end_step(StepObservation(losses=losses))


def test_a_restored_weighing_goes_on_as_before() -> None:
    one, other = (weighing(InitialScale(steps=3), learning_rate=0.1) for _ in range(2))
    for number in range(2):
        losses = {"a": 2.0 + number, "b": 3.0}
        one.weigh(losses)
        one.end_step(StepObservation(losses=losses))
    other.load_state_dict(one.state_dict())
    assert other.weigh({"a": 1.0, "b": 9.0}) == one.weigh({"a": 1.0, "b": 9.0})
