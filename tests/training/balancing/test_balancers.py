import io
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchjd.scalarization import COSMOS, FAMO, IMTLL, PBI, STCH, UW, GeometricMean, Scalarizer

from training.balancing import Balancer, BalancerFactory, StepObservation
from training.balancing.scalarizers import LOG_LIMIT
from training.seeding import seeded

TASKS = ("a", "b", "c")
FACTORY = BalancerFactory(tasks=TASKS, epoch_steps=3)
BALANCERS: dict[str, Callable[[], Balancer]] = {
    "constant": FACTORY.constant,
    "uncertainty": lambda: FACTORY.uncertainty(learning_rate=0.05),
    "imtl_l": lambda: FACTORY.imtl_l(learning_rate=0.05),
    "dwa": lambda: FACTORY.dwa(temperature=2.0),
    "gradnorm": lambda: FACTORY.gradnorm(alpha=1.5, learning_rate=0.025),
    "dtp": lambda: FACTORY.dtp(gamma=2.0, smoothing=0.5),
    "random": FACTORY.random,
    "geometric_mean": FACTORY.geometric_mean,
    "stch": lambda: FACTORY.stch(mu=0.5),
    "famo": lambda: FACTORY.famo(learning_rate=0.025, weight_decay=1e-3),
    "cosmos": lambda: FACTORY.cosmos(penalty=0.5),
    "pbi": lambda: FACTORY.pbi(theta=1.0),
}
losses_of_three = st.lists(st.floats(0.05, 20), min_size=3, max_size=3)


def observation(losses: dict[str, float], *, fall: float = 0.9) -> StepObservation:
    norms = {name: 0.3 + number for number, name in enumerate(losses)}
    after = {name: loss * fall ** (number**2) for number, (name, loss) in enumerate(losses.items(), 1)}
    return StepObservation(losses=losses, gradient_norms=norms, losses_after=after)


def play(balancer: Balancer, steps: int, *, first: int = 0) -> list[dict[str, float]]:
    """Weights of some steps with falling losses, an evaluation after every second one."""
    found = []
    for step in range(first, first + steps):
        losses = {name: (2 + number) / (1 + 0.1 * step * number) for number, name in enumerate(TASKS)}
        with seeded(step):
            found.append(balancer.weigh(losses))
        balancer.end_step(observation(losses))
        if step % 2:
            balancer.end_evaluation(
                {name: 0.3 + 0.2 * number + 0.01 * step for number, name in enumerate(TASKS)}
            )
    return found


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("before", [0, 1, 8, 15])
def test_a_restored_balancer_gives_the_same_next_weights(name: str, before: int) -> None:
    balancer, restored = BALANCERS[name](), BALANCERS[name]()
    play(balancer, before)
    saved = io.BytesIO()
    torch.save(balancer.state_dict(), saved)
    saved.seek(0)
    restored.load_state_dict(torch.load(saved, weights_only=True))
    assert play(restored, 8, first=before) == play(balancer, 8, first=before)


@pytest.mark.parametrize("name", sorted(set(BALANCERS) - {"random"}))
def test_the_order_of_the_tasks_changes_nothing(name: str) -> None:
    turned = BalancerFactory(tasks=TASKS[::-1], epoch_steps=3)
    builders = {
        **{name: lambda name=name: getattr(turned, name)() for name in ("constant", "geometric_mean")},
        "uncertainty": lambda: turned.uncertainty(learning_rate=0.05),
        "imtl_l": lambda: turned.imtl_l(learning_rate=0.05),
        "dwa": lambda: turned.dwa(temperature=2.0),
        "gradnorm": lambda: turned.gradnorm(alpha=1.5, learning_rate=0.025),
        "dtp": lambda: turned.dtp(gamma=2.0, smoothing=0.5),
        "stch": lambda: turned.stch(mu=0.5),
        "famo": lambda: turned.famo(learning_rate=0.025, weight_decay=1e-3),
        "cosmos": lambda: turned.cosmos(penalty=0.5),
        "pbi": lambda: turned.pbi(theta=1.0),
    }
    for found, expected in zip(play(builders[name](), 14), play(BALANCERS[name](), 14), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


SCALARIZERS: dict[str, Callable[[], Scalarizer]] = {
    "uncertainty": lambda: UW(3),
    "imtl_l": lambda: IMTLL(3),
    "geometric_mean": GeometricMean,
    "stch": lambda: STCH(0.5),
    "famo": lambda: FAMO(3),
    "cosmos": lambda: COSMOS(0.5, torch.full((3,), 1 / 3)),
    "pbi": lambda: PBI(1.0, torch.full((3,), 1 / 3)),
}


@pytest.mark.parametrize("name", SCALARIZERS)
@given(losses=losses_of_three)
def test_the_weights_are_the_scalarizers_derivatives(name: str, losses: list[float]) -> None:
    values = torch.tensor(losses, requires_grad=True)
    SCALARIZERS[name]()(values).backward()
    expected = torch.as_tensor(values.grad).tolist()
    assert list(BALANCERS[name]().weigh(dict(zip(TASKS, losses, strict=True))).values()) == pytest.approx(
        expected, rel=1e-4
    )


def test_the_weighted_gradients_are_the_gradient_of_the_combined_loss() -> None:
    """``∇S(L(θ)) = Σ ∂S/∂L_i ∇L_i`` on quadratics, for a scalarizer that mixes the losses."""
    point = torch.tensor([0.3, -0.7], requires_grad=True)

    def quadratics() -> list[Tensor]:
        x, y = point
        return [(x - 1) ** 2 + 1, 3 * (y + 1) ** 2 + 2, x * y + 5]

    (expected,) = torch.autograd.grad(GeometricMean()(torch.stack(quadratics())), point)
    weights = FACTORY.geometric_mean().weigh(
        {name: float(loss.detach()) for name, loss in zip(TASKS, quadratics(), strict=True)}
    )
    gradients = [torch.autograd.grad(loss, point)[0] for loss in quadratics()]
    found = sum(weight * gradient for weight, gradient in zip(weights.values(), gradients, strict=True))
    torch.testing.assert_close(torch.as_tensor(found), expected)


@pytest.mark.parametrize(("name", "sign"), [("uncertainty", 1), ("imtl_l", -1)])
@pytest.mark.parametrize("factor", [1.0, 7.0])
def test_learned_scales_settle_at_the_log_of_the_loss(name: str, sign: int, factor: float) -> None:
    """For a fixed loss the optimum is ``exp(s) = L`` in UW's sign: scaling the loss by c moves s by log c."""
    balancer = getattr(FACTORY, name)(learning_rate=0.05)
    losses = {"a": 0.5 * factor, "b": 2.0 * factor}
    for _ in range(600):
        balancer.weigh(losses)
        balancer.end_step(observation(losses))
    scales = balancer.state_dict()["scales"]
    found = [float(value) for key, value in scales.items() if key[0] in losses]
    assert found == pytest.approx([sign * math.log(loss) for loss in losses.values()], abs=0.02)


def test_a_loss_of_zero_does_not_send_a_learned_scale_to_infinity() -> None:
    balancer = FACTORY.uncertainty(learning_rate=1.0)
    for _ in range(100):
        balancer.weigh({"a": 0.0})
        balancer.end_step(observation({"a": 0.0}))
    assert balancer.weigh({"a": 0.0})["a"] <= 0.5 * math.exp(LOG_LIMIT) * 1.001


@pytest.mark.parametrize("name", ["uncertainty", "imtl_l"])
def test_a_task_that_is_not_in_the_step_is_left_alone(name: str) -> None:
    balancer = BALANCERS[name]()
    for _ in range(5):
        balancer.weigh({"a": 3.0})
        balancer.end_step(observation({"a": 3.0}))
    fresh = BALANCERS[name]()
    assert balancer.weigh({"b": 1.0, "c": 1.0}) == fresh.weigh({"b": 1.0, "c": 1.0})
    assert balancer.weigh({"a": 1.0}) != fresh.weigh({"a": 1.0})


def test_famo_learns_as_torchjds_own() -> None:
    ours, theirs = FACTORY.famo(learning_rate=0.025, weight_decay=1e-3), FAMO(3)
    for step in range(5):
        losses = {name: 1.0 + number + 0.1 * step for number, name in enumerate(TASKS)}
        values = torch.tensor(list(losses.values()), requires_grad=True)
        theirs(values).backward()
        expected = torch.as_tensor(values.grad).tolist()
        assert list(ours.weigh(losses).values()) == pytest.approx(expected, rel=1e-5)
        seen = observation(losses)
        ours.end_step(seen)
        theirs.update(torch.tensor(list(seen.losses_after.values())))


@pytest.mark.parametrize("name", BALANCERS)
def test_only_the_methods_that_mix_losses_need_every_task(name: str) -> None:
    balancer = BALANCERS[name]()
    if not balancer.needs_every_task:
        assert set(balancer.weigh({"b": 1.5})) == {"b"}
