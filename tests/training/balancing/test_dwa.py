import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchjd import scalarization

from training.balancing.base import StepObservation
from training.balancing.dwa import DWA

losses = st.lists(st.floats(0.05, 20), min_size=3, max_size=3)


def see(balancer: DWA, **losses: float) -> None:
    balancer.end_step(StepObservation(losses=losses))


@given(epochs=st.lists(st.lists(losses, min_size=2, max_size=2), min_size=1, max_size=5))
def test_with_every_task_in_every_step_it_is_torchjds(epochs: list[list[list[float]]]) -> None:
    ours, theirs = DWA("abc", temperature=2.0, epoch_steps=2), scalarization.DWA(2.0)
    for epoch in epochs:
        for step in epoch:
            values = torch.tensor(step, dtype=torch.float64, requires_grad=True)
            theirs(values).backward()
            named = dict(zip("abc", step, strict=True))
            assert list(ours.weigh(named).values()) == pytest.approx(torch.as_tensor(values.grad).tolist())
            see(ours, **named)
        theirs.step()


@given(epochs=st.lists(losses, min_size=2, max_size=6))
def test_the_weights_sum_to_the_number_of_tasks(epochs: list[list[float]]) -> None:
    balancer = DWA("abc", temperature=2.0, epoch_steps=1)
    for epoch in epochs:
        see(balancer, **dict(zip("abc", epoch, strict=True)))
    assert sum(balancer.weigh(dict.fromkeys("abc", 1.0)).values()) == pytest.approx(3)


def test_the_first_two_epochs_are_uniform() -> None:
    balancer = DWA("ab", temperature=2.0, epoch_steps=2)
    for step in range(4):
        assert balancer.weigh({"a": 1.0, "b": 1.0}) == {"a": 1.0, "b": 1.0}
        see(balancer, a=1.0, b=1.0 / (step + 1))
    assert balancer.weigh({"a": 1.0, "b": 1.0}) != {"a": 1.0, "b": 1.0}


def test_equal_rates_weigh_alike_and_the_slower_task_more() -> None:
    equal, unequal = (DWA("ab", temperature=2.0, epoch_steps=1) for _ in range(2))
    for scale in (1.0, 0.5):
        see(equal, a=3 * scale, b=100 * scale)
        see(unequal, a=3.0, b=100 * scale)
    assert equal.weigh({"a": 1.0, "b": 1.0}) == pytest.approx({"a": 1.0, "b": 1.0})
    found = unequal.weigh({"a": 1.0, "b": 1.0})
    assert found["a"] > 1 > found["b"]


def test_a_tasks_mean_counts_its_own_steps() -> None:
    """One task a batch: ``a`` twice and ``b`` once, then the other way round, with steady losses."""
    balancer = DWA("ab", temperature=2.0, epoch_steps=3)
    for name in "aababb":
        see(balancer, **{name: 4.0})
    assert balancer.weigh({"a": 1.0})["a"] == pytest.approx(1)


def test_a_loss_of_zero_and_a_task_not_shown_have_no_rate() -> None:
    balancer = DWA("abc", temperature=2.0, epoch_steps=1)
    see(balancer, a=0.0, b=1.0)
    see(balancer, a=1.0, b=1.0)
    assert balancer.weigh(dict.fromkeys("abc", 1.0)) == pytest.approx(dict.fromkeys("abc", 1.0))
