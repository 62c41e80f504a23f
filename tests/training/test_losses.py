import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from training.losses import LabelLoss, MultiLabelLoss, ValueLoss, choice_loss, listwise_loss

gammas = st.floats(0.1, 5.0)


def random_labels(seed: int, *, count: int = 7, labels: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, labels, generator=generator, dtype=torch.float64)
    return logits, torch.randint(labels, (count,), generator=generator)


def test_cross_entropy_is_of_logits_with_one_softmax() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    first = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(-1)))
    expected = (first + math.log(3)) / 2
    assert float(LabelLoss()(logits, torch.tensor([0, 2]))) == pytest.approx(expected)


def test_a_sure_and_right_answer_costs_nothing() -> None:
    for loss in (LabelLoss(), LabelLoss(gamma=2.0)):
        assert float(loss(torch.tensor([[50.0, 0.0, 0.0]]), torch.tensor([0]))) < 1e-6


@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 2.0, 4.0)])
@given(seed=st.integers(0, 99))
def test_the_focal_loss_tends_to_cross_entropy_as_gamma_tends_to_zero(
    weights: tuple[float, ...] | None, seed: int
) -> None:
    logits, labels = random_labels(seed)
    focal = LabelLoss(gamma=1e-9, class_weights=weights)(logits, labels)
    torch.testing.assert_close(focal, LabelLoss(class_weights=weights)(logits, labels))


@given(seed=st.integers(0, 99), gamma=gammas)
def test_the_focal_loss_is_the_papers_formula(seed: int, gamma: float) -> None:
    logits, labels = random_labels(seed)
    p = functional.softmax(logits, dim=1)[torch.arange(len(labels)), labels]
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    torch.testing.assert_close(LabelLoss(gamma=gamma)(logits, labels), expected)


@given(seed=st.integers(0, 99), gamma=gammas)
def test_a_larger_gamma_never_costs_more(seed: int, gamma: float) -> None:
    logits, labels = random_labels(seed)
    assert LabelLoss(gamma=gamma + 1)(logits, labels) <= LabelLoss(gamma=gamma)(logits, labels)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_has_a_finite_gradient_where_an_answer_is_surely_right(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    LabelLoss(gamma=gamma)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@given(seed=st.integers(0, 99), factor=st.floats(0.1, 10))
def test_class_weights_matter_only_relative_to_each_other(seed: int, factor: float) -> None:
    logits, labels = random_labels(seed)
    weights = (0.5, 1.0, 2.0, 3.0)
    scaled = tuple(factor * weight for weight in weights)
    for gamma in (0.0, 2.0):
        torch.testing.assert_close(
            LabelLoss(class_weights=scaled, gamma=gamma)(logits, labels),
            LabelLoss(class_weights=weights, gamma=gamma)(logits, labels),
        )


def test_balanced_weights_give_every_label_the_same_share() -> None:
    balanced = LabelLoss(class_weights="balanced").balanced_by(np.array([6, 2, 0]))
    assert balanced.class_weights == pytest.approx((8 / 18, 8 / 6, 1.0)), (
        "n / (labels · count), as scikit-learn"
    )
    assert LabelLoss().balanced_by(np.array([6, 2])) == LabelLoss()
    with pytest.raises(ValueError, match="should be numbers by now"):
        LabelLoss(class_weights="balanced")(torch.zeros(1, 2), torch.tensor([0]))


def test_label_smoothing_spreads_its_share_over_all_labels() -> None:
    logits, labels = random_labels(0)
    logs = functional.log_softmax(logits, dim=1)
    expected = 0.8 * -logs[torch.arange(len(labels)), labels].mean() + 0.2 * -logs.mean(dim=1).mean()
    torch.testing.assert_close(LabelLoss(label_smoothing=0.2)(logits, labels), expected)


def random_sets(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    return logits, torch.randint(2, (6, 3), generator=generator).double()


@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 3.0)])
@given(seed=st.integers(0, 99))
def test_the_focal_loss_of_sets_tends_to_binary_cross_entropy(
    weights: tuple[float, ...] | None, seed: int
) -> None:
    logits, present = random_sets(seed)
    expected = functional.binary_cross_entropy_with_logits(
        logits, present, pos_weight=None if weights is None else torch.tensor(weights, dtype=torch.float64)
    )
    torch.testing.assert_close(MultiLabelLoss(class_weights=weights)(logits, present), expected)
    focal = MultiLabelLoss(class_weights=weights, gamma=1e-9)(logits, present)
    torch.testing.assert_close(focal, expected)


def test_balanced_sets_weigh_presence_by_how_rare_it_is() -> None:
    balanced = MultiLabelLoss(class_weights="balanced").balanced_by(np.array([2, 8, 0, 10]), 10)
    assert balanced.class_weights == pytest.approx((4.0, 0.25, 1.0, 1.0)), (
        "always and never: nothing to weigh"
    )


def test_smoothed_sets_aim_short_of_certainty() -> None:
    """The least loss is where the probability is 1 − ε/2."""
    logits = torch.linspace(0, 10, 2001).unsqueeze(1)
    losses = torch.stack([MultiLabelLoss(label_smoothing=0.2)(row[None], torch.ones(1, 1)) for row in logits])
    assert float(torch.sigmoid(logits[losses.argmin()])) == pytest.approx(0.9, abs=1e-3)


def test_values_cost_their_squared_error() -> None:
    assert float(ValueLoss()(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))) == pytest.approx(
        (1 + 9) / 2
    )


@given(error=st.floats(-10, 10), delta=st.floats(0.1, 5))
def test_huber_is_half_the_square_within_delta_and_linear_beyond(error: float, delta: float) -> None:
    expected = 0.5 * error**2 if abs(error) <= delta else delta * (abs(error) - 0.5 * delta)
    found = ValueLoss(delta=delta)(torch.tensor([error], dtype=torch.float64), torch.zeros(1).double())
    assert float(found) == pytest.approx(expected)


GROUPS = torch.tensor([0, 0, 0, 1, 1])


def test_choices_compete_within_their_group_alone() -> None:
    logits = torch.tensor([[1.0], [2.0], [0.0], [3.0], [1.0]])
    first = -functional.log_softmax(torch.tensor([1.0, 2.0, 0.0]), dim=0)[1]
    second = -functional.log_softmax(torch.tensor([3.0, 1.0]), dim=0)[1]
    found = choice_loss(logits, GROUPS, torch.tensor([1, 1]))
    torch.testing.assert_close(found, (first + second) / 2)


def test_a_list_with_one_relevant_document_costs_what_a_choice_does() -> None:
    logits = torch.randn(5, 1)
    listwise = listwise_loss(logits, GROUPS, torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(listwise, choice_loss(logits, GROUPS, torch.tensor([1, 1])))


@given(seed=st.integers(0, 99), factor=st.floats(0.5, 4))
def test_a_lists_loss_depends_on_the_grades_shares_and_not_on_a_shift_of_the_scores(
    seed: int, factor: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 1, generator=generator)
    grades = torch.tensor([0.0, 1.0, 3.0, 2.0, 0.0])
    expected = listwise_loss(logits, GROUPS, grades)
    torch.testing.assert_close(listwise_loss(logits + 7, GROUPS, factor * grades), expected)


def test_a_list_costs_least_where_the_scores_give_the_grades_shares() -> None:
    grades = torch.tensor([1.0, 3.0, 4.0, 1.0, 1.0])
    logits = grades.log().unsqueeze(1).requires_grad_()
    listwise_loss(logits, GROUPS, grades).backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-6, rtol=0)


def test_irrelevant_documents_give_finite_gradients() -> None:
    logits = torch.zeros(5, 1, requires_grad=True)
    listwise_loss(logits, GROUPS, torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
