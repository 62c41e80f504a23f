"""Which tasks the next batches come from. Sizes count examples, not batches."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Sampler(Protocol):
    """Draws the tasks of one step."""

    def draw(self) -> tuple[str, ...]:
        """Names of the tasks whose losses are summed in one backward pass."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the next draw depends on, as JSON."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place: the next draw is the one that would have come."""
        ...


def temperature_probabilities(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """``p_i ∝ N_i^(1/T)``: T = 1 is proportional to size, T → ∞ uniform.

    Args:
        sizes: Examples of each task.
        temperature: T ≥ 1.
    """
    # Scaled by the largest size first: the ratio decides, and no power overflows.
    largest = max(sizes.values())
    powers = {name: (size / largest) ** (1 / temperature) for name, size in sizes.items()}
    total = sum(powers.values())
    return {name: power / total for name, power in powers.items()}


class RandomSampler:
    """One task a step, drawn with fixed probabilities.

    Args:
        probabilities: Of each task; they sum to one.
        seed: Of the whole run.
    """

    def __init__(self, probabilities: Mapping[str, float], *, seed: int) -> None:
        self.probabilities = dict(probabilities)
        self._names = list(probabilities)
        self._generator = np.random.default_rng(seed)

    def draw(self) -> tuple[str, ...]:
        """One task's name."""
        index = self._generator.choice(len(self._names), p=list(self.probabilities.values()))
        return (self._names[int(index)],)

    def state_dict(self) -> dict[str, Any]:
        """State of the random generator."""
        return {"generator": self._generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._generator.bit_generator.state = state["generator"]


class RoundRobinSampler:
    """One task a step, in turn.

    Args:
        names: In the order of the turns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._turn = 0

    def draw(self) -> tuple[str, ...]:
        """One task's name."""
        name = self._names[self._turn % len(self._names)]
        self._turn += 1
        return (name,)

    def state_dict(self) -> dict[str, Any]:
        """Turns taken."""
        return {"turn": self._turn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._turn = state["turn"]


class EveryTaskSampler:
    """All tasks in every step: the metabatch.

    Args:
        names: Of all tasks.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def draw(self) -> tuple[str, ...]:
        """All names."""
        return self._names

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to continue."""


def build_sampler(name: str, sizes: Mapping[str, int], *, temperature: float, seed: int) -> Sampler:
    """Build a sampler by its name in the YAML file.

    Args:
        name: ``proportional``, ``uniform``, ``temperature`` or ``round_robin``.
        sizes: Examples of each task.
        temperature: Used by ``temperature`` alone.
        seed: Of the whole run.
    """
    if name == "round_robin":
        return RoundRobinSampler(list(sizes))
    if name == "uniform":
        return RandomSampler(dict.fromkeys(sizes, 1 / len(sizes)), seed=seed)
    return RandomSampler(
        temperature_probabilities(sizes, 1.0 if name == "proportional" else temperature), seed=seed
    )
