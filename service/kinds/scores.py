"""Logits → probabilities, in double precision and without overflow.

Logits are divided by the task's temperature, fitted on its dev set (Guo et al. 2017, 1706.04599).
"""

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating], *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: NDArray[np.floating], *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Logistic function of each logit."""
    decay = np.exp(-np.abs(logits.astype(np.float64)) / temperature)
    result: NDArray[np.float64] = np.where(logits >= 0, 1.0, decay) / (1.0 + decay)
    return result
