import pytest
import torch
from torch import Tensor

from tests.support.sharing_layers import IN, SHAPE, TASKS, build, inputs
from training.sharing import (
    MixtureOfExperts,
    MultiGateMixtureOfExperts,
    MultiLevelMixtureOfExperts,
    SharedBottom,
    SharingLayer,
    users_of,
)


def owners(layer: SharingLayer, part: str) -> set[frozenset[str]]:
    """Who uses the parameters of a part."""
    return {tasks for name, tasks in users_of(layer, in_features=IN).items() if name.startswith(part)}


@pytest.mark.parametrize("kind", [MixtureOfExperts, MultiGateMixtureOfExperts])
def test_one_expert_is_hard_sharing(kind: type[MixtureOfExperts]) -> None:
    layer, hard = kind(TASKS, SHAPE, experts=1), SharedBottom(TASKS, SHAPE)
    hard.trunk.load_state_dict(layer.experts[0].state_dict())
    for task in TASKS:
        torch.testing.assert_close(layer(inputs(6), task), hard(inputs(6), task))


@pytest.mark.parametrize("name", ["moe", "mmoe"])
def test_an_even_gate_gives_the_experts_mean(name: str) -> None:
    layer = build(name)
    with torch.no_grad():
        for gate in layer.gates.values():  # type: ignore[union-attr, operator]
            gate.linear.weight.zero_()
    experts: list[Tensor] = [expert(inputs(6)) for expert in layer.experts]  # type: ignore[union-attr]
    for task in TASKS:
        torch.testing.assert_close(layer(inputs(6), task), torch.stack(experts).mean(dim=0))


def test_one_gate_treats_all_tasks_alike_and_several_do_not() -> None:
    one, several = build("moe"), build("mmoe")
    assert torch.equal(one(inputs(6), "a"), one(inputs(6), "b"))
    assert not torch.allclose(several(inputs(6), "a"), several(inputs(6), "b"))
    assert owners(one, "gates") == {frozenset(TASKS)}
    assert owners(several, "gates") == {frozenset({task}) for task in TASKS}
    assert owners(several, "experts") == {frozenset(TASKS)}


def test_one_level_is_mmoe() -> None:
    flat = build("mmoe")
    levels = MultiLevelMixtureOfExperts(TASKS, SHAPE, levels=1, experts=3)
    levels.load_state_dict(flat.state_dict())
    for task in TASKS:
        torch.testing.assert_close(levels(inputs(6), task), flat(inputs(6), task))


def test_all_gates_of_all_levels_share_one_selector() -> None:
    """Every gate reads the layer's input, whatever its level."""
    layer = build("ml_mmoe")
    gates = [module for name, module in layer.named_modules() if name.endswith("linear")]
    read: list[Tensor] = []
    for gate in gates:
        gate.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    layer(inputs(6), "a")
    assert len(read) == 2 * 2 + 1, "two experts on two upper levels, and the task's own on top"
    assert all(torch.equal(each, inputs(6)) for each in read)
