import math

import pytest
import torch

from training.tasks import Task

MOOD = Task(
    name="mood",
    kind="classification",
    text_columns=("text",),
    label_column="label",
    labels=("a", "b", "c"),
    bi_encoder=False,
)
STARS = Task(
    name="stars",
    kind="pair_regression",
    text_columns=("a", "b"),
    label_column="label",
    labels=None,
    bi_encoder=True,
)


def test_cross_entropy_is_of_logits_with_one_softmax() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    first = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(-1)))
    expected = (first + math.log(3)) / 2
    assert float(MOOD.loss(logits, torch.tensor([0, 2]))) == pytest.approx(expected)


def test_a_sure_and_right_answer_costs_nothing() -> None:
    assert float(MOOD.loss(torch.tensor([[50.0, 0.0, 0.0]]), torch.tensor([0]))) < 1e-6


def test_the_loss_of_values_is_the_mean_squared_error() -> None:
    logits = torch.tensor([[1.0], [4.0]])
    assert float(STARS.loss(logits, torch.tensor([2.0, 1.0]))) == pytest.approx((1 + 9) / 2)


def test_outputs_and_sequences_follow_from_the_task() -> None:
    assert (MOOD.num_outputs, MOOD.sequences_per_example) == (3, 1)
    assert (STARS.num_outputs, STARS.sequences_per_example) == (1, 2)
