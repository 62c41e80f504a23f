"""Metrics of each kind, in the field's definition. The first one of a kind is its primary metric."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

_LABELLED = ("accuracy", "f1_macro", "matthews")
_VALUED = ("pearson", "spearman", "mse")

METRICS: Mapping[str | None, tuple[str, ...]] = {
    "classification": _LABELLED,
    "pair_classification": _LABELLED,
    "regression": _VALUED,
    "pair_regression": _VALUED,
}


def primary_metric(kind: str) -> str:
    """The metric that a kind is selected and reported by."""
    return METRICS[kind][0]


def measure(kind: str, logits: NDArray[np.float32], labels: NDArray[np.float64]) -> dict[str, float]:
    """Metrics of a task's predictions.

    Args:
        kind: The task's kind.
        logits: Shape ``(num_examples, num_outputs)``.
        labels: Label indices, or values. Shape ``(num_examples,)``.

    Returns:
        Metric name → value, in the order of ``METRICS[kind]``.
    """
    if METRICS[kind] is _LABELLED:
        return _labelled(logits.argmax(axis=1), labels.astype(np.int64))
    return _valued(logits[:, 0].astype(np.float64), labels)


def _labelled(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    # One class has no correlation with anything: scikit-learn also says 0, with a warning.
    constant = np.ptp(predicted) == 0 or np.ptp(labels) == 0
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1_macro": float(f1_score(labels, predicted, average="macro")),
        "matthews": 0.0 if constant else float(matthews_corrcoef(labels, predicted)),
    }


def _valued(predicted: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
    # A constant has no correlation with anything: 0, not NaN, so that a collapsed model scores low.
    constant = np.ptp(predicted) == 0 or np.ptp(labels) == 0
    return {
        "pearson": 0.0 if constant else float(pearsonr(predicted, labels).statistic),
        "spearman": 0.0 if constant else float(spearmanr(predicted, labels).statistic),
        "mse": float(np.mean((predicted - labels) ** 2)),
    }
