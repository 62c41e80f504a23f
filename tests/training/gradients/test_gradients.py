from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from training.aggregation import METHODS, build_aggregator
from training.balancing import Balancer, BalancerFactory, FixedScale, LossWeighing
from training.gradients import CombinedGradients, GradientStep, SummedGradients
from training.gradients.base import BatchLoss

TASKS = ("a", "b", "c")
FACTORY = BalancerFactory(tasks=TASKS, epoch_steps=2)


@pytest.fixture(autouse=True)
def _fresh_accelerator() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class SmallModel(nn.Module):
    """A shared body of two layers and a head a task."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))
        self.heads = nn.ModuleDict({name: nn.Linear(4, 1) for name in TASKS})

    def loss(self, task: str, inputs: Tensor) -> Tensor:
        target = float(TASKS.index(task)) - 1
        return torch.as_tensor((self.heads[task](self.body(inputs)) - target).square().mean())

    def gradients(self) -> dict[str, Tensor]:
        return {name: p.grad.clone() for name, p in self.named_parameters() if p.grad is not None}


def batch_losses(model: SmallModel, seed: int, tasks: tuple[str, ...] = TASKS) -> dict[str, BatchLoss]:
    generator = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(5, 3, generator=generator) for name in tasks}
    return {name: lambda name=name: model.loss(name, inputs[name]) for name in tasks}  # type: ignore[misc]


def common(accelerator: Accelerator, model: SmallModel, balancer: Balancer | None) -> dict[str, Any]:
    weighing = LossWeighing(
        weights={"a": 1.0, "b": 0.5, "c": 2.0},
        scale=FixedScale(dict.fromkeys(TASKS, 1.0)),
        balancer=balancer or FACTORY.constant(),
    )
    last_layer = list(model.body[2].parameters())
    return {"weighing": weighing, "accelerator": accelerator, "last_layer": last_layer, "seed": 7}


def summed(model: SmallModel, *, balancer: Balancer | None = None, accumulation: int = 1) -> SummedGradients:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    return SummedGradients(parameters=list(model.parameters()), **common(accelerator, model, balancer))


def combined(
    model: SmallModel, name: str, *, balancer: Balancer | None = None, accumulation: int = 1
) -> CombinedGradients:
    parameters = {"cagrad": {"c": 0.5}, "fairgrad": {"alpha": 1.0}}.get(name)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    return CombinedGradients(
        shared=list(model.body.parameters()),
        own={task: list(model.heads[task].parameters()) for task in TASKS},
        aggregator=build_aggregator(name, len(TASKS), parameters),
        keep_zero_rows=METHODS[name].needs_every_task,
        **common(accelerator, model, balancer),
    )


def gradients_of(
    model: SmallModel, make: GradientStep, draws: list[dict[str, BatchLoss]], step: int = 0
) -> dict[str, Tensor]:
    model.zero_grad()
    make(draws, step=step)
    return model.gradients()


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    torch.testing.assert_close(dict(found), dict(expected), atol=1e-6, rtol=1e-5)


def test_the_sum_is_the_gradient_of_the_weighted_sum() -> None:
    model = SmallModel()
    draw = batch_losses(model, 1)
    total = draw["a"]() + 0.5 * draw["b"]() + 2.0 * draw["c"]()
    total.backward()
    expected = model.gradients()
    assert_same(gradients_of(model, summed(model), [draw]), expected)


DRAWS = {
    "metabatch": [TASKS],
    "one_task": [("b",)],
    "several_draws": [("a",), ("b",), ("a",), ("c",)],
    "uneven": [("a", "b"), ("c",)],
}


@pytest.mark.parametrize("tasks", DRAWS.values(), ids=DRAWS)
def test_kept_apart_and_added_up_the_gradients_are_the_sums(tasks: list[tuple[str, ...]]) -> None:
    model = SmallModel()
    draws = [batch_losses(model, n, names) for n, names in enumerate(tasks)]
    expected = gradients_of(model, summed(model, accumulation=len(draws)), draws)
    found = gradients_of(model, combined(model, "sum", accumulation=len(draws)), draws)
    assert_same(found, expected)


@pytest.mark.parametrize("name", METHODS)
def test_heads_keep_their_own_tasks_gradient_whatever_the_aggregator(name: str) -> None:
    model = SmallModel()
    draw = batch_losses(model, 3)
    expected = gradients_of(model, summed(model), [draw])
    found = gradients_of(model, combined(model, name), [draw])
    heads = {key for key in expected if key.startswith("heads")}
    assert_same({key: found[key] for key in heads}, {key: expected[key] for key in heads})


def test_pcgrad_without_conflict_is_the_plain_sum_of_the_model() -> None:
    model = SmallModel()
    inputs = torch.randn(5, 3)
    draw: dict[str, BatchLoss] = {name: lambda: model.loss("a", inputs) for name in ("a",)}
    draw["b"] = lambda: 3 * model.loss("a", inputs)  # the same direction
    expected = gradients_of(model, summed(model), [draw])
    found = gradients_of(model, combined(model, "pcgrad"), [draw])
    assert_same(
        {key: g for key, g in found.items() if key.startswith("body")},
        {key: g for key, g in expected.items() if key.startswith("body")},
    )


def test_the_balancers_weights_scale_rows_and_heads_alike() -> None:
    model = SmallModel()
    draw = batch_losses(model, 4)
    expected = gradients_of(model, summed(model, balancer=FACTORY.geometric_mean()), [draw])
    found = gradients_of(model, combined(model, "sum", balancer=FACTORY.geometric_mean()), [draw])
    assert_same(found, expected)


def test_the_report_has_unweighted_losses_effective_weights_and_cosines() -> None:
    model = SmallModel()
    draw = batch_losses(model, 5)
    losses = {name: float(compute().detach()) for name, compute in draw.items()}
    report = summed(model, balancer=FACTORY.uncertainty(learning_rate=0.1))([draw], step=0)
    assert report.losses == pytest.approx(losses)
    assert report.weights == pytest.approx({"a": 0.5, "b": 0.25, "c": 1.0})
    assert report.cosines == {}
    model.zero_grad()
    report = combined(model, "mean", balancer=FACTORY.uncertainty(learning_rate=0.1))([draw], step=0)
    assert report.weights == pytest.approx({"a": 0.5 / 3, "b": 0.25 / 3, "c": 1 / 3})
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(draw[name](), list(model.body.parameters()))])
        for name in ("a", "b")
    ]
    assert report.cosines["a", "b"] == pytest.approx(
        float(torch.nn.functional.cosine_similarity(*rows, dim=0)), abs=1e-5
    )
    assert set(report.cosines) == {("a", "b"), ("a", "c"), ("b", "c")}


@pytest.mark.parametrize("kind", ["summed", "combined"])
def test_the_weights_of_a_step_of_several_draws_are_shares_of_the_step(kind: str) -> None:
    model = SmallModel()
    draws = [batch_losses(model, n, (name,)) for n, name in enumerate("aaab")]
    make = summed(model, accumulation=4) if kind == "summed" else combined(model, "sum", accumulation=4)
    model.zero_grad()
    report = make(draws, step=0)
    assert report.weights == pytest.approx({"a": 0.75, "b": 0.5 * 0.25}), "b is declared at 0.5"
    body = list(model.body.parameters())
    found = torch.cat([p.grad.flatten() for p in body if p.grad is not None])
    rows = {name: torch.zeros_like(found) for name in "ab"}
    for draw, count in zip(draws, (3, 3, 3, 1), strict=True):
        for name, compute in draw.items():
            own = torch.cat([g.flatten() for g in torch.autograd.grad(compute(), body)])
            rows[name] += own / count
    torch.testing.assert_close(found, sum(report.weights[name] * rows[name] for name in rows))


@pytest.mark.parametrize("kind", ["summed", "combined"])
def test_gradnorm_sees_the_last_shared_layers_norms(kind: str) -> None:
    model = SmallModel()
    draw = batch_losses(model, 6)
    expected = {
        name: float(
            torch.cat(
                [g.flatten() for g in torch.autograd.grad(compute(), list(model.body[2].parameters()))]
            ).norm()
        )
        for name, compute in draw.items()
    }
    balancer = FACTORY.gradnorm(alpha=1.0, learning_rate=0.1)
    make = summed(model, balancer=balancer) if kind == "summed" else combined(model, "sum", balancer=balancer)
    make([draw], step=0)
    assert make._norms[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["summed", "combined"])
def test_famo_sees_the_losses_after_the_update(kind: str) -> None:
    model = SmallModel()
    draw = batch_losses(model, 6)
    balancer = FACTORY.famo(learning_rate=0.1, weight_decay=0.0)
    make = summed(model, balancer=balancer) if kind == "summed" else combined(model, "sum", balancer=balancer)
    make([draw], step=0)
    with torch.no_grad():
        model.heads["a"].weight.mul_(3)  # as if the update had only changed this task
    assert balancer.state_dict()["optimizer"] is None
    make.finish([draw])
    logits = balancer.state_dict()["logits"]["_w"]
    assert float(logits[0]) != float(logits[1])
    assert balancer.state_dict()["optimizer"] is not None


def test_the_random_order_depends_on_seed_and_step() -> None:
    model = SmallModel()
    draw = batch_losses(model, 8)
    make = combined(model, "random")
    first, again, later = (gradients_of(model, make, [draw], step=step) for step in (3, 3, 4))
    assert_same(first, again)
    assert not torch.equal(first["body.0.weight"], later["body.0.weight"])


@pytest.mark.parametrize("name", ["pcgrad", "cagrad", "imtl_g"])
def test_fp16s_loss_scale_is_undone_before_the_aggregator_sees_it(name: str) -> None:
    model = SmallModel()
    draw = batch_losses(model, 9)
    expected = gradients_of(model, combined(model, name), [draw])
    make = combined(model, name)
    make._accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
    found = gradients_of(model, make, [draw])  # scaled, for the scaler to undo
    body = {key for key in expected if key.startswith("body")}
    assert_same({key: found[key] / 4096 for key in body}, {key: expected[key] for key in body})


def test_an_overflow_reaches_the_scaler() -> None:
    model = SmallModel()
    draw: dict[str, BatchLoss] = batch_losses(model, 9)
    broken = draw["b"]
    draw["b"] = lambda: broken() * float("inf")
    found = gradients_of(model, combined(model, "cagrad"), [draw])
    assert not bool(found["body.0.weight"].isfinite().all())


@pytest.mark.parametrize("name", METHODS)
def test_a_restored_step_gives_the_same_next_gradient(name: str) -> None:
    model = SmallModel()
    one, other = combined(model, name), combined(model, name)
    for step in range(2):
        gradients_of(model, one, [batch_losses(model, step)], step=step)
    other.load_state_dict(one.state_dict())
    draw = batch_losses(model, 11)
    found = [gradients_of(model, make, [draw], step=2) for make in (one, other)]
    for key in found[0]:
        assert torch.equal(found[0][key], found[1][key])
