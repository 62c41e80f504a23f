import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.precisions.activations import LEVELS, ActivationPlan, Outliers, choose_remedy, plan_activation
from export.precisions.ranges import ChannelRange, FloatArray

values = arrays(np.float32, (7, 96), elements=st.floats(-100, 100, width=32))


def range_of(activation: FloatArray) -> ChannelRange:
    return ChannelRange(low=activation.min(axis=0), high=activation.max(axis=0))


def restore(activation: FloatArray, plan: ActivationPlan) -> FloatArray:
    """Quantise and back, as the graph does."""
    divisors = np.float32(1) if plan.divisors is None else plan.divisors
    steps = np.round(activation / divisors / plan.scale) + plan.zero_point
    restored = (steps.clip(0, LEVELS) - plan.zero_point) * plan.scale * divisors
    restored[:, plan.apart] = activation[:, plan.apart]
    return np.asarray(restored, dtype=np.float32)


@given(values, st.sampled_from(Outliers))
def test_what_calibration_saw_is_restored_to_a_step(activation: FloatArray, outliers: Outliers) -> None:
    plan = plan_activation(range_of(activation), outliers=outliers)
    step = plan.scale if plan.divisors is None else plan.scale * plan.divisors
    assert (np.abs(restore(activation, plan) - activation) <= 1.01 * step + 1e-6).all()


@given(values, st.sampled_from(Outliers))
def test_zero_stays_zero(activation: FloatArray, outliers: Outliers) -> None:
    plan = plan_activation(range_of(activation), outliers=outliers)
    assert not restore(np.zeros((1, 96), dtype=np.float32), plan).any()


def with_outliers(num_channels: int = 96) -> FloatArray:
    activation = np.random.default_rng(0).uniform(-1, 1, size=(50, num_channels)).astype(np.float32)
    activation[:, 5] *= 30
    return activation


@pytest.mark.parametrize("outliers", [Outliers.DIVIDED, Outliers.SET_APART])
def test_an_outlier_no_longer_costs_the_other_channels_their_steps(outliers: Outliers) -> None:
    found = range_of(with_outliers())
    left = plan_activation(found, outliers=Outliers.LEFT)
    plan = plan_activation(found, outliers=outliers)
    assert plan.scale < left.scale / 20
    if outliers is Outliers.DIVIDED:
        assert plan.divisors is not None
        assert np.flatnonzero(plan.divisors > 1.5).tolist() == [5]
        assert (plan.divisors >= 1).all()
    else:
        assert 5 in plan.apart
        assert len(plan.apart) <= 2, "one channel in 48"


@pytest.mark.parametrize("outliers", Outliers)
def test_channels_of_a_size_are_left_as_they_are(outliers: Outliers) -> None:
    even = np.random.default_rng(0).uniform(-1, 1, size=(50, 96)).astype(np.float32)
    plan = plan_activation(range_of(even), outliers=outliers)
    assert plan.divisors is None
    assert len(plan.apart) == 0


@pytest.mark.parametrize("shape", [(3, 1), (3, 2)])
def test_narrow_and_constant_tensors_have_a_plan(shape: tuple[int, int]) -> None:
    for activation in (np.zeros(shape, dtype=np.float32), np.full(shape, -2, dtype=np.float32)):
        plan = plan_activation(range_of(activation), outliers=Outliers.SET_APART)
        np.testing.assert_allclose(restore(activation, plan), activation, atol=0.01)


def test_the_remedy_is_the_one_whose_pass_is_narrower() -> None:
    assert choose_remedy(384, 3 * 384, is_shared=False) is Outliers.DIVIDED
    assert choose_remedy(1536, 384, is_shared=False) is Outliers.SET_APART
    assert choose_remedy(1536, 384, is_shared=True) is Outliers.LEFT
