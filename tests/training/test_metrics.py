import numpy as np
import pytest

from training.metrics import METRICS, label_metrics, value_metrics


def test_metrics_of_labels_are_by_hand() -> None:
    found = label_metrics(np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 0, 1]))
    # tp 2, fp 1, fn 1, tn 1: F1 of class 1 is 4/6, of class 0 2/4; Matthews (2*1 - 1*1)/sqrt(3*3*2*2) = 1/6.
    assert found == pytest.approx({"accuracy": 0.6, "f1_macro": (4 / 6 + 2 / 4) / 2, "matthews": 1 / 6})
    assert tuple(found) == METRICS["classification"]


def test_metrics_of_values_are_by_hand() -> None:
    found = value_metrics(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0]))
    # Pearson: deviations (-4/3, -1/3, 5/3) and (-1, 1, 0). Spearman: ranks 1, 2, 3 and 1, 3, 2.
    assert found == pytest.approx(
        {"pearson": 1 / np.sqrt(42 / 9 * 2), "spearman": 0.5, "mse": (0 + 1 + 4) / 3}
    )
    assert tuple(found) == METRICS["regression"]


def test_perfect_answers_score_one() -> None:
    labels = np.array([0, 2, 1, 2])
    assert label_metrics(labels, labels) == pytest.approx({"accuracy": 1, "f1_macro": 1, "matthews": 1})
    values = labels.astype(np.float64)
    assert value_metrics(values, values) == pytest.approx({"pearson": 1, "spearman": 1, "mse": 0})


@pytest.mark.parametrize(
    ("predicted", "values"), [([2, 2, 2], [1, 2, 3]), ([1, 2, 3], [2, 2, 2]), ([1], [1])]
)
def test_a_constant_correlates_with_nothing_and_scores_zero(
    predicted: list[float], values: list[float]
) -> None:
    found = value_metrics(np.array(predicted, dtype=np.float64), np.array(values, dtype=np.float64))
    assert (found["pearson"], found["spearman"]) == (0, 0)


def test_a_nearly_constant_model_scores_quietly() -> None:
    values = np.array([2.5, 2.5, np.nextafter(np.float32(2.5), np.float32(3))], dtype=np.float64)
    found = value_metrics(values, np.array([1.0, 2.0, 3.0]))
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("labels", [[0, 1, 0], [1, 1, 1], [0, 0, 0]])
def test_a_constant_label_scores_quietly(labels: list[int]) -> None:
    found = label_metrics(np.ones(3, dtype=np.int64), np.array(labels))
    assert found["accuracy"] == pytest.approx(np.mean(labels))
    assert found["matthews"] == 0


def test_the_first_metric_of_a_kind_is_its_primary_one() -> None:
    kinds = ("classification", "pair_classification", "regression", "pair_regression")
    assert [METRICS[kind][0] for kind in kinds] == ["accuracy", "accuracy", "pearson", "pearson"]
