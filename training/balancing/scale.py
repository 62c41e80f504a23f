"""What a loss is divided by before it is weighed, so that tasks of different units are comparable."""

from collections.abc import Mapping
from typing import Any

from training.balancing.base import Losses

SMALLEST = 1e-8


class FixedScale:
    """The same divisor throughout: 1, or the loss of a guess, such as ``log C`` of C classes.

    Args:
        divisors: Of each task.
    """

    def __init__(self, divisors: Mapping[str, float]) -> None:
        self._divisors = dict(divisors)

    def divisors(self, losses: Losses) -> dict[str, float]:
        """Of the tasks in ``losses``."""
        return {name: self._divisors[name] for name in losses}

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to continue."""


class InitialScale:
    """The mean of a task's first losses; until there are enough, of those so far.

    Args:
        steps: How many first losses.
    """

    def __init__(self, *, steps: int) -> None:
        self._steps = steps
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def divisors(self, losses: Losses) -> dict[str, float]:
        """Of the tasks in ``losses``, which are counted if they are among the first."""
        for name, loss in losses.items():
            if self._counts.get(name, 0) < self._steps:
                self._sums[name] = self._sums.get(name, 0.0) + loss
                self._counts[name] = self._counts.get(name, 0) + 1
        return {name: max(self._sums[name] / self._counts[name], SMALLEST) for name in losses}

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts of the first losses."""
        return {"sums": self._sums, "counts": self._counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


LossScale = FixedScale | InitialScale
