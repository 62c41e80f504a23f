"""How far two sets of vectors of the same texts are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR = 1e-3
"""Largest difference of a number up to which two vectors count as the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of vectors, pair by pair.

    Attributes:
        near: Share of pairs that differ by at most ``NEAR`` in every number.
        largest_gap: Of any number.
        cosine_mean: Mean cosine of the pairs.
        cosine_least: The least of them.
    """

    near: float
    largest_gap: float
    cosine_mean: float
    cosine_least: float


def agreement(found: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Compare vectors.

    Args:
        found: Shape ``(num_texts, hidden_size)``.
        expected: Same shape.
    """
    gaps = np.abs(found - expected).max(axis=1)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return Agreement(
        near=float((gaps <= NEAR).mean()),
        largest_gap=float(gaps.max()),
        cosine_mean=float(cosines.mean()),
        cosine_least=float(cosines.min()),
    )
