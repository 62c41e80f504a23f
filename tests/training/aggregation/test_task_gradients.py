import pytest
import torch
from torch import Tensor, nn

from training.aggregation import TaskGradients


class TwoHeads(nn.Module):
    """A shared layer, a part of it that only one task uses, and a head per task."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 4)
        self.only_a = nn.Linear(3, 4, bias=False)
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.Linear(4, 2)})

    def loss(self, task: str, inputs: Tensor) -> Tensor:
        hidden = self.shared(inputs) + (self.only_a(inputs) if task == "a" else 0)
        return torch.as_tensor(self.heads[task](hidden.tanh()).square().mean())


@pytest.fixture
def model() -> TwoHeads:
    return TwoHeads()


def shared_parameters(model: TwoHeads) -> list[nn.Parameter]:
    return [*model.shared.parameters(), *model.only_a.parameters()]


def flat_gradient(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def test_a_row_is_the_tasks_own_gradient(model: TwoHeads) -> None:
    shared, inputs = shared_parameters(model), torch.randn(5, 3)
    expected = torch.stack([flat_gradient(model.loss(task, inputs), shared) for task in ("a", "b")])
    gradients = TaskGradients(shared, ["a", "b"])
    for task in ("b", "a"):
        with gradients.row(task):
            model.loss(task, inputs).backward()
    assert gradients.tasks == ("a", "b")
    torch.testing.assert_close(gradients.matrix, expected)


def test_batches_of_one_task_add_up_and_the_next_step_starts_from_nothing(model: TwoHeads) -> None:
    shared = shared_parameters(model)
    gradients = TaskGradients(shared, ["a", "b"])
    first, second = torch.randn(5, 3), torch.randn(2, 3)
    for _ in range(2):
        gradients.clear()
        for inputs in (first, second):
            with gradients.row("a"):
                model.loss("a", inputs).backward()
    expected = sum(flat_gradient(model.loss("a", inputs), shared) for inputs in (first, second))
    assert gradients.tasks == ("a",)
    torch.testing.assert_close(gradients.matrix, torch.as_tensor(expected).unsqueeze(0))


def test_heads_keep_their_own_gradient_and_shared_parameters_none_outside_a_row(model: TwoHeads) -> None:
    shared, inputs = shared_parameters(model), torch.randn(5, 3)
    expected = torch.autograd.grad(model.loss("a", inputs), list(model.heads["a"].parameters()))
    gradients = TaskGradients(shared, ["a", "b"])
    with gradients.row("a"):
        model.loss("a", inputs).backward()
    assert all(parameter.grad is None for parameter in shared)
    for parameter, gradient in zip(model.heads["a"].parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert all(parameter.grad is None for parameter in model.heads["b"].parameters())


def test_a_flat_gradient_becomes_the_parameters_own(model: TwoHeads) -> None:
    shared = shared_parameters(model)
    gradients = TaskGradients(shared, ["a"])
    flat = torch.randn(sum(parameter.numel() for parameter in shared))
    gradients.write(flat)
    found = torch.cat([torch.as_tensor(parameter.grad).flatten() for parameter in shared])
    assert torch.equal(found, flat)
    assert all(torch.as_tensor(p.grad).shape == p.shape for p in shared)


def test_a_frozen_parameter_gets_no_gradient_though_it_has_its_columns(model: TwoHeads) -> None:
    shared = shared_parameters(model)
    gradients = TaskGradients(shared, ["a"])
    model.only_a.requires_grad_(False)
    with gradients.row("a"):
        model.loss("a", torch.randn(5, 3)).backward()
    gradients.write(gradients.matrix[0])
    assert model.only_a.weight.grad is None
    assert model.shared.weight.grad is not None
    assert float(gradients.matrix[0, -model.only_a.weight.numel() :].abs().sum()) == 0


def test_without_shared_parameters_there_is_nothing_to_combine() -> None:
    with pytest.raises(ValueError, match="at least one shared parameter"):
        TaskGradients([], ["a"])
