"""What is fitted on dev after training: temperatures, thresholds, and how well probabilities hold.

numpy and scipy alone. A figure "after" a fit is honest only on rows that the fit has not seen: ``crossfit``
fits on one half, measures on the other, and averages both ways round.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax

Floats = NDArray[np.float64] | NDArray[np.float32]

BINS = 15
"""Of the expected calibration error, as in Guo et al. 2017."""
TEMPERATURES = (0.1, 10.0)
"""Where a temperature is looked for. Where dev is answered without a mistake, none would be too low."""
DEFAULT_THRESHOLD = 0.5


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature whose softmax gives the labels their highest likelihood.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, §4.2.

    Args:
        logits: Shape ``(num_examples, num_labels)``.
        labels: Numbers of the right ones. Shape ``(num_examples,)``.

    Returns:
        Within ``TEMPERATURES``; 1 for no examples.
    """
    rows = np.arange(len(labels))
    return _best_temperature(len(labels), lambda t: -log_softmax(logits / t, axis=1)[rows, labels].mean())


def fit_temperature_of_events(logits: Floats, outcomes: Floats) -> float:
    """The temperature whose sigmoid gives the outcomes their highest likelihood.

    Args:
        logits: Of one event each; any shape.
        outcomes: 1 where the event came true, else 0. Same shape.
    """
    signed = np.where(outcomes > 0, logits, -logits)
    return _best_temperature(signed.size, lambda t: -log_expit(signed / t).mean())


def fit_temperature_of_choices(logits: Sequence[Floats], chosen: Sequence[int]) -> float:
    """The temperature whose softmax over each example's choices, however many, fits best.

    Args:
        logits: Of each example's choices. Shape ``(num_choices,)``.
        chosen: Number of the right one of each.
    """
    return _best_temperature(
        len(chosen),
        lambda t: -np.mean([log_softmax(row / t)[right] for row, right in zip(logits, chosen, strict=True)]),
    )


def expected_calibration_error(probabilities: Floats, outcomes: Floats, bins: int = BINS) -> float:
    """How far stated probabilities are from observed frequencies.

    The mean over bins of equal width, weighted by how many forecasts fall in, of |frequency − mean
    probability| (Naeini et al. 2015; Guo et al. 2017, eq. 3).

    Args:
        probabilities: Of one event each. Shape ``(num_events,)``.
        outcomes: 1 where the event came true, else 0. Same shape.
        bins: Between 0 and 1.
    """
    if len(probabilities) == 0:
        return 0.0
    which = np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)
    stated = np.bincount(which, weights=probabilities, minlength=bins)
    observed = np.bincount(which, weights=outcomes, minlength=bins)
    return float(np.abs(stated - observed).sum() / len(probabilities))


def tune_thresholds(probabilities: Floats, present: Floats) -> tuple[float, ...]:
    """Each label's threshold with the highest F1: a label is given from it on.

    Args:
        probabilities: Shape ``(num_examples, num_labels)``.
        present: 1 or 0. Same shape.

    Returns:
        Halfway between two neighbouring probabilities; ``DEFAULT_THRESHOLD`` for a label that never occurs.
    """
    return tuple(_threshold(p, y) for p, y in zip(probabilities.T, present.T, strict=True))


def tune_no_answer_threshold(margins: Floats, scores: Floats, scores_of_none: Floats) -> float:
    """The margin up to which no answer scores best, as SQuAD 2's ``find_best_thresh``.

    Args:
        margins: How far each question's best span exceeds no answer. Shape ``(num_questions,)``.
        scores: Of answering with the best span, such as F1. Same shape.
        scores_of_none: Of answering nothing. Same shape.

    Returns:
        Halfway between two neighbouring margins, or 1 beyond all of them.
    """
    order = np.argsort(margins, kind="stable")
    gains = np.cumsum((np.asarray(scores_of_none) - np.asarray(scores))[order])
    # Only between different margins: a threshold cannot tell equal ones apart.
    ordered = np.asarray(margins, dtype=np.float64)[order]
    cuts = np.flatnonzero(np.diff(ordered, append=np.inf) > 0)
    best = cuts[gains[cuts].argmax()]
    if gains[best] <= 0:
        return float(ordered[0] - 1)
    above = ordered[best + 1] if best + 1 < len(ordered) else ordered[best] + 2
    return float((ordered[best] + above) / 2)


def crossfit(
    count: int, measure: Callable[[NDArray[np.int64], NDArray[np.int64]], dict[str, float]]
) -> dict[str, float]:
    """Figures on each half of the examples after a fit on the other, averaged.

    Args:
        count: Of the examples. A single one is its own other half.
        measure: Indices to fit on, indices to measure → figures.
    """
    order = np.random.default_rng(0).permutation(count)
    halves = (order[: count // 2], order[count // 2 :]) if count > 1 else (order, order)
    there, back = measure(*halves), measure(*halves[::-1])
    return {name: (there[name] + back[name]) / 2 for name in there}


def sigmoid(logits: Floats, temperature: float) -> NDArray[np.float64]:
    """Probabilities of events. Shape kept."""
    return np.asarray(expit(np.asarray(logits, dtype=np.float64) / temperature))


def _best_temperature(count: int, loss: Callable[[float], float]) -> float:
    if count == 0:
        return 1.0
    # In the inverse temperature the loss is convex, so the one minimum found is the lowest.
    low, high = (1 / bound for bound in reversed(TEMPERATURES))
    found = minimize_scalar(lambda inverse: loss(1 / inverse), bounds=(low, high), method="bounded")
    return float(1 / found.x)


def _threshold(probabilities: Floats, present: Floats) -> float:
    if not present.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    ordered = np.asarray(probabilities, dtype=np.float64)[order]
    given = np.arange(1, len(ordered) + 1)
    f1 = 2 * np.cumsum(present[order]) / (given + present.sum())
    cuts = np.flatnonzero(np.diff(ordered, append=-np.inf) < 0)
    best = cuts[f1[cuts].argmax()]
    below = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float((ordered[best] + below) / 2)
