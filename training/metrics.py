"""Metrics in the field's definition. Of each list of names the first is the primary metric."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

LABELLED = ("accuracy", "f1_macro", "matthews")
VALUED = ("pearson", "spearman", "mse")

METRICS: Mapping[str, tuple[str, ...]] = {
    "classification": LABELLED,
    "pair_classification": LABELLED,
    "regression": VALUED,
    "pair_regression": VALUED,
}
"""Of each kind."""


def label_metrics(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """``LABELLED`` of one label an example.

    Args:
        predicted: Numbers of labels. Shape ``(num_examples,)``.
        labels: The right ones. Same shape.
    """
    # One class has no correlation with anything: scikit-learn also says 0, with a warning.
    constant = np.ptp(predicted) == 0 or np.ptp(labels) == 0
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1_macro": float(f1_score(labels, predicted, average="macro")),
        "matthews": 0.0 if constant else float(matthews_corrcoef(labels, predicted)),
    }


def value_metrics(predicted: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, float]:
    """``VALUED`` of one number an example. Both of shape ``(num_examples,)``."""
    # A constant has no correlation with anything: 0, not NaN, so that a collapsed model scores low.
    constant = np.ptp(predicted) == 0 or np.ptp(values) == 0
    return {
        "pearson": 0.0 if constant else float(pearsonr(predicted, values).statistic),
        "spearman": 0.0 if constant else float(spearmanr(predicted, values).statistic),
        "mse": float(np.mean((predicted - values) ** 2)),
    }
