"""What holds for every sharing layer."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.sharing_layers import BUILDERS, IN, NO_TASK_JOINS, TASKS, build, inputs
from tests.training.sharing.oracles import ORACLES
from training.config.sharing import SHARING
from training.sharing import SharedPath, users_of


def test_every_layer_of_the_configuration_is_tested_here() -> None:
    assert set(BUILDERS) == set(SHARING) == set(ORACLES)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_layer_computes_what_its_paper_says(name: str, task: str) -> None:
    layer, x = build(name), inputs(4)
    found = layer(x, task).detach().numpy()
    expected = [ORACLES[name](layer, row, task) for row in x.double().numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (4, layer.out_features(task))


@pytest.mark.parametrize("name", BUILDERS)
def test_vectors_layers_of_vectors_and_token_states_are_treated_one_by_one(name: str) -> None:
    layer, x = build(name), inputs(2, 3, 7)
    for task in TASKS:
        one_by_one = torch.stack([layer(row[None], task)[0] for row in x.flatten(0, 2)])
        torch.testing.assert_close(layer(x, task).flatten(0, 2), one_by_one)


@pytest.mark.parametrize("name", BUILDERS)
def test_users_are_those_whose_answer_changes_with_the_parameter(name: str) -> None:
    layer, x = build(name), inputs(16)
    users = users_of(layer, in_features=IN)
    before = {task: layer(x, task) for task in TASKS}
    for number, (parameter_name, parameter) in enumerate(layer.named_parameters()):
        kept = parameter.detach().clone()
        with torch.no_grad():
            generator = torch.Generator().manual_seed(number)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 3)
            moved = {task for task in TASKS if not torch.equal(layer(x, task), before[task])}
            parameter.copy_(kept)
        assert moved == users[parameter_name], parameter_name


@pytest.mark.parametrize("name", BUILDERS)
def test_a_tasks_loss_moves_the_parameters_it_uses_and_no_others(name: str) -> None:
    layer = build(name)
    users = users_of(layer, in_features=IN)
    for task in TASKS:
        layer.zero_grad()
        layer(inputs(16), task).square().sum().backward()
        reached = {name for name, parameter in layer.named_parameters() if parameter.grad is not None}
        assert reached == {name for name, tasks in users.items() if task in tasks}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_layer_that_takes_new_tasks_leaves_the_old_ones_as_they_are(name: str) -> None:
    """The trained weights fit into a layer of one task more, and the old tasks answer as before."""
    layer = build(name)
    assert (layer.refuses_tasks is not None) == (name in NO_TASK_JOINS)
    if layer.refuses_tasks is not None:
        return
    builder = BUILDERS[name]
    larger = builder.func((*TASKS, "d"), *builder.args[1:], **builder.keywords).eval()  # type: ignore[attr-defined]
    missing = larger.load_state_dict(layer.state_dict(), strict=False)
    assert not missing.unexpected_keys
    for task in TASKS:
        torch.testing.assert_close(larger(inputs(4), task), layer(inputs(4), task), rtol=0, atol=0)


@pytest.mark.parametrize("name", BUILDERS)
def test_dropout_is_part_of_training_alone(name: str) -> None:
    layer = build(name)
    for module in layer.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    assert torch.equal(layer(inputs(8), "a"), layer(inputs(8), "a"))
    layer.train()
    assert not torch.equal(layer(inputs(8), "a"), layer(inputs(8), "a"))


class Reads(nn.Module):
    """A head that gives back what it was given."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.input_names = names

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return torch.cat([each.float().flatten() for each in given])


def test_a_path_changes_every_vector_of_its_head_and_no_segment_ids() -> None:
    layer = build("mmoe")
    pair = SharedPath(layer, "b", Reads("pooled_a", "pooled_b"))
    one, two = inputs(2), inputs(2, seed=5)
    torch.testing.assert_close(
        pair(one, two), torch.cat([layer(one, "b").flatten(), layer(two, "b").flatten()])
    )
    states, segment_ids = inputs(2, 3), torch.tensor([[0, 0, 1], [2, 2, -1]])
    tokens = SharedPath(layer, "b", Reads("last_hidden_state", "segment_ids"))
    expected = torch.cat([layer(states, "b").flatten(), segment_ids.float().flatten()])
    torch.testing.assert_close(tokens(states, segment_ids), expected)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_layer_learns_in_mixed_precision(name: str) -> None:
    layer, x = build(name), inputs(4)
    for task in TASKS:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = layer(x, task)
        torch.testing.assert_close(found.float(), layer(x, task), rtol=0.05, atol=0.05)
        layer.zero_grad()
        found.float().square().sum().backward()
        reached = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
        assert reached
        assert all(gradient.isfinite().all() for gradient in reached)
