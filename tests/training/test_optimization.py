import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from training.assembly.trained import build_model
from training.config.file import parse_config
from training.encoder import load_encoder
from training.model import MultitaskModel
from training.optimization import build_optimizer, build_schedule


@pytest.fixture
def model(small_config: Callable[..., dict[str, Any]], request: pytest.FixtureRequest) -> MultitaskModel:
    raw = small_config(tasks=("sentiment", "duplicate"))
    raw["encoder"]["train"] = getattr(request, "param", "full")
    config = parse_config(raw)
    return build_model(config, load_encoder(config.encoder.model))


def groups_of(model: MultitaskModel) -> list[dict[str, Any]]:
    return build_optimizer(
        model, learning_rate=1e-3, encoder_learning_rate=1e-5, weight_decay=0.01
    ).param_groups


def test_matrices_are_decayed_and_vectors_are_not(model: MultitaskModel) -> None:
    for group in groups_of(model):
        dimensions = {parameter.ndim for parameter in group["params"]}
        assert dimensions <= ({2} if group["weight_decay"] else {1})
    undecayed = {id(p) for group in groups_of(model) if not group["weight_decay"] for p in group["params"]}
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    assert norms
    assert all(id(parameter) in undecayed for norm in norms for parameter in norm.parameters())


def test_encoder_and_heads_have_their_own_rates_and_every_parameter_one_group(model: MultitaskModel) -> None:
    rate = {id(p): group["lr"] for group in groups_of(model) for p in group["params"]}
    assert {rate[id(p)] for p in model.encoder.parameters()} == {1e-5}
    assert {rate[id(p)] for p in model.heads.parameters()} == {1e-3}
    assert sum(len(group["params"]) for group in groups_of(model)) == len(list(model.parameters()))


@pytest.mark.parametrize("model", ["frozen"], indirect=True)
def test_a_frozen_encoder_has_no_group(model: MultitaskModel) -> None:
    assert {group["lr"] for group in groups_of(model)} == {1e-3}
    chosen = {id(p) for group in groups_of(model) for p in group["params"]}
    assert chosen.isdisjoint(map(id, model.encoder.parameters()))


def rates_of(name: str, *, steps: int, warmup: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = build_schedule(optimizer, name=name, steps=steps, warmup=warmup)
    rates = []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_the_rate_rises_linearly_during_warm_up(name: str) -> None:
    assert rates_of(name, steps=20, warmup=0.2)[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_the_linear_schedule_falls_to_zero_in_a_straight_line() -> None:
    rates = rates_of("linear", steps=20, warmup=0.2)
    assert rates[4:] == pytest.approx([1 - step / 16 for step in range(17)])


def test_the_cosine_schedule_falls_to_zero_along_half_a_wave() -> None:
    rates = rates_of("cosine", steps=20, warmup=0.2)
    assert rates[4:] == pytest.approx([(1 + math.cos(math.pi * step / 16)) / 2 for step in range(17)])


def test_the_constant_schedule_stays() -> None:
    assert set(rates_of("constant", steps=20, warmup=0.2)[4:]) == {1.0}


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert rates_of("linear", steps=10, warmup=0)[0] == 1
