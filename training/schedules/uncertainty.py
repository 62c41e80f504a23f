"""Uncertainty sampling of examples: of many candidates, keep those that the model is least sure of.

MT-uncertainty of CA-MTL (Pilault et al. 2021, https://arxiv.org/abs/2009.09139, algorithm 1): every task
offers a batch of candidates, and the b most uncertain of all of them form the step's batch.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def entropy(logits: Floats) -> Floats:
    """Shannon entropy of the softmax, in nats.

    Args:
        logits: Shape ``(num_examples, num_classes)``.

    Returns:
        Shape ``(num_examples,)``; between 0 and ``log(num_classes)``.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    found: Floats = -(np.exp(log_probabilities) * log_probabilities).sum(axis=1)
    return np.maximum(found, 0.0)


def uncertainties(logits: Mapping[str, Floats]) -> dict[str, Floats]:
    """``U(x) = H(x) / (Ĥ · H'_i)``: comparable between tasks with different numbers of classes.

    ``H'_i = log C_i`` is the entropy of a uniform guess, and ``Ĥ`` the largest of the tasks' mean entropies.
    Being common to all tasks, it does not change the ranking.

    Args:
        logits: Of each task's candidates. Shape ``(num_candidates, num_classes)``, at least two classes.
    """
    entropies = {name: entropy(rows) for name, rows in logits.items()}
    largest = max(float(found.mean()) for found in entropies.values())
    if largest == 0:
        return entropies  # certain of everything
    return {name: found / (largest * math.log(logits[name].shape[1])) for name, found in entropies.items()}


def most_uncertain(
    scores: Mapping[str, Floats], *, count: int, unscored: Mapping[str, int]
) -> dict[str, NDArray[np.int64]]:
    """Which candidates to train on: ``count`` in all.

    A task without a predictive distribution over classes (a regression, say) has no entropy. It keeps the
    first of its candidates, as many as it has among all candidates by proportion.

    Args:
        scores: Of each task's candidates.
        count: b.
        unscored: Numbers of candidates of the tasks without scores.

    Returns:
        Positions of each task's chosen candidates, ascending; an empty array for a task that none was chosen
        of.
    """
    total = sum(map(len, scores.values())) + sum(unscored.values())
    chosen = {name: np.arange(round(count * size / total)) for name, size in unscored.items()}
    left = count - sum(map(len, chosen.values()))
    candidates = [
        (-float(score), number, place)  # of equal scores, the first task's and the first candidate
        for number, found in enumerate(scores.values())
        for place, score in enumerate(found)
    ]
    best = sorted(candidates)[:left]
    for number, name in enumerate(scores):
        places = sorted(place for _, owner, place in best if owner == number)
        chosen[name] = np.array(places, dtype=np.int64)
    return chosen
