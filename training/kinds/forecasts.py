"""Logits → probabilities of events, beside what came true."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.calibration import Floats, sigmoid
from training.kinds.base import Forecasts


def of_labels(logits: Floats, labels: NDArray[np.int64], temperature: float) -> Forecasts:
    """That the best of several labels is the right one.

    Args:
        logits: Shape ``(num_examples, num_labels)``.
        labels: Numbers of the right ones. Shape ``(num_examples,)``.
        temperature: Divides the logits.
    """
    probabilities = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return Forecasts(
        probabilities=probabilities.max(axis=1, initial=0.0),
        outcomes=(logits.argmax(axis=1) == labels).astype(np.float64),
    )


def of_events(logits: Floats, outcomes: Floats, temperature: float) -> Forecasts:
    """That each of any number of events comes true: a label is present, a document relevant.

    Args:
        logits: Any shape.
        outcomes: 1 or 0. Same shape.
        temperature: Divides the logits.
    """
    return Forecasts(
        probabilities=sigmoid(logits, temperature).ravel(),
        outcomes=np.asarray(outcomes, dtype=np.float64).ravel(),
    )
