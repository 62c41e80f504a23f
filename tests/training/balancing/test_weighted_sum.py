import pytest
import torch

from training.balancing import build_scalarizer


def test_the_weighted_sum_is_by_hand() -> None:
    losses = torch.tensor([1.0, 10.0, 100.0])
    assert float(build_scalarizer([1.0, 0.5, 2.0])(losses)) == pytest.approx(1 + 5 + 200)


def test_a_task_that_is_not_drawn_adds_neither_loss_nor_gradient() -> None:
    drawn = torch.tensor(3.0, requires_grad=True)
    absent = torch.tensor(0.0, requires_grad=True)
    total = build_scalarizer([1.0, 4.0])(torch.stack([absent * 0, drawn]))
    total.backward()
    assert float(total.detach()) == pytest.approx(12)
    assert drawn.grad == 4
    assert absent.grad == 0


def test_the_metabatch_is_the_sum_of_one_task_batches() -> None:
    scalarizer = build_scalarizer([1.0, 0.5])
    losses = torch.tensor([2.0, 6.0])
    alone = [scalarizer(losses * torch.tensor(mask)) for mask in ([1.0, 0.0], [0.0, 1.0])]
    torch.testing.assert_close(scalarizer(losses), alone[0] + alone[1])
