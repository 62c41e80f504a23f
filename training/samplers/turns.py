"""Samplers without chance: in turn, or all at once."""

from collections.abc import Mapping, Sequence
from typing import Any


class RoundRobinSampler:
    """One task a draw, in turn. A small task starts over while a large one is still in its first epoch.

    Args:
        names: In the order of the turns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._turn = 0

    @property
    def probabilities(self) -> Mapping[str, float]:
        """``1 / n`` for each, over a round of turns."""
        return dict.fromkeys(self._names, 1 / len(self._names))

    def draw(self) -> tuple[str, ...]:
        """The name of the task whose turn it is."""
        name = self._names[self._turn % len(self._names)]
        self._turn += 1
        return (name,)

    def state_dict(self) -> dict[str, Any]:
        """How many turns were taken."""
        return {"turn": self._turn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._turn = state["turn"]


class EveryTaskSampler:
    """All tasks in every draw: the metabatch.

    Args:
        names: Of all tasks.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Every task is in every draw."""
        return dict.fromkeys(self._names, 1.0)

    def draw(self) -> tuple[str, ...]:
        """The names of all tasks, always."""
        return self._names

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to continue."""
