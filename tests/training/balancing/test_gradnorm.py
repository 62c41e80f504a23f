import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.balancing.base import StepObservation
from training.balancing.gradnorm import GradNorm, gradnorm_loss

positive = st.floats(0.01, 10)


def step(losses: dict[str, float], norms: dict[str, float]) -> StepObservation:
    return StepObservation(losses=losses, gradient_norms=norms)


@given(data=st.lists(st.tuples(positive, positive, positive), min_size=2, max_size=4))
def test_the_derivative_is_the_norm_with_the_sign_of_the_difference(
    data: list[tuple[float, float, float]],
) -> None:
    weights, norms, rates = (torch.tensor(column, dtype=torch.float64) for column in zip(*data, strict=True))
    weights.requires_grad_()
    (found,) = torch.autograd.grad(gradnorm_loss(weights, norms, rates, 1.5), weights)
    scaled = weights.detach() * norms
    expected = (scaled - scaled.mean() * rates**1.5).sign() * norms  # the target takes no part
    torch.testing.assert_close(found, expected)


@given(
    norms=st.lists(positive, min_size=3, max_size=3),
    losses=st.lists(positive, min_size=3, max_size=3),
    alpha=st.floats(0, 3),
)
def test_the_weights_always_sum_to_the_number_of_tasks(
    norms: list[float], losses: list[float], alpha: float
) -> None:
    balancer = GradNorm("abc", alpha=alpha, learning_rate=0.5, initial_steps=1)
    for number in range(5):
        falling = {name: loss / (1 + number) for name, loss in zip("abc", losses, strict=True)}
        balancer.end_step(step(falling, dict(zip("abc", norms, strict=True))))
        weights = balancer.weigh(dict.fromkeys("abc", 1.0))
        assert sum(weights.values()) == pytest.approx(3)
        assert min(weights.values()) > 0


def test_alpha_zero_makes_the_gradient_norms_equal() -> None:
    balancer = GradNorm("abc", alpha=0.0, learning_rate=0.005, initial_steps=1)
    norms = {"a": 1.0, "b": 2.0, "c": 4.0}
    for _ in range(2000):
        balancer.end_step(step({"a": 1.0, "b": 5.0, "c": 0.2}, norms))
    weights = balancer.weigh(dict.fromkeys("abc", 1.0))
    scaled = [weights[name] * norms[name] for name in "abc"]
    assert max(scaled) / min(scaled) < 1.05


def test_a_task_that_learns_slowly_is_pulled_along() -> None:
    balancer = GradNorm("ab", alpha=1.5, learning_rate=0.02, initial_steps=1)
    for number in range(60):
        balancer.end_step(step({"a": 1.0, "b": 0.97**number}, {"a": 1.0, "b": 1.0}))
    weights = balancer.weigh({"a": 1.0, "b": 1.0})
    assert weights["a"] > 1 > weights["b"]


def test_the_weights_wait_for_the_initial_losses() -> None:
    balancer = GradNorm("ab", alpha=1.5, learning_rate=0.1, initial_steps=3)
    found = []
    for _ in range(5):
        balancer.end_step(step({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 9.0}))
        found.append(balancer.weigh({"a": 1.0, "b": 1.0}) == {"a": 1.0, "b": 1.0})
    assert found == [True, True, True, False, False]
