"""One task a draw, at random, by probabilities that may change as the run proceeds."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from training.samplers.probabilities import check_probabilities


class WeightedSampler:
    """Draws one task at random, with replacement.

    Args:
        probabilities: Of each task, by the number of draws before.
        seed: Of the whole run.
    """

    def __init__(self, probabilities: Callable[[int], Mapping[str, float]], *, seed: int) -> None:
        check_probabilities(probabilities(0))
        self._probabilities_at = probabilities
        self._generator = np.random.default_rng(seed)
        self._draws = 0

    @property
    def probabilities(self) -> Mapping[str, float]:
        """What the next draw is made with."""
        return self._probabilities_at(self._draws)

    def draw(self) -> tuple[str, ...]:
        """The name of one task, drawn by the present probabilities."""
        present = self.probabilities
        index = self._generator.choice(len(present), p=list(present.values()))
        self._draws += 1
        return (list(present)[int(index)],)

    def state_dict(self) -> dict[str, Any]:
        """Draws so far, and the random generator."""
        return {"draws": self._draws, "generator": self._generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._draws = state["draws"]
        self._generator.bit_generator.state = state["generator"]


def constant(probabilities: Mapping[str, float]) -> Callable[[int], Mapping[str, float]]:
    """The same probabilities throughout."""
    return lambda _: probabilities


def by_epoch(
    probabilities: Callable[[int], Mapping[str, float]], *, epochs: int, draws: int
) -> Callable[[int], Mapping[str, float]]:
    """Probabilities of a run that is cut into equal parts, its "epochs".

    Args:
        probabilities: By the epoch, counted from 0.
        epochs: Of the run.
        draws: Of the run. Later ones, if any, belong to the last epoch.
    """
    return lambda draw: probabilities(min(draw * epochs // draws, epochs - 1))
