"""The weighted sum of all tasks first, task by task later; and cycles of both."""

import math
from collections.abc import Mapping
from typing import Any

from training.samplers import Sampler


class Plateau:
    """Whether a score has stopped rising: no gain above ``min_gain`` in ``patience`` evaluations running.

    Once reached, it stays reached.

    Args:
        patience: At least 1.
        min_gain: What counts as a gain over the best score so far, in the score's own unit.
    """

    def __init__(self, *, patience: int, min_gain: float) -> None:
        self._patience = patience
        self._min_gain = min_gain
        self._best = -math.inf
        self._since_gain = 0

    @property
    def is_reached(self) -> bool:
        """Whether the score is flat."""
        return self._since_gain >= self._patience

    def update(self, score: float) -> None:
        """Note a score."""
        if self.is_reached:
            return
        if score > self._best + self._min_gain:
            self._best, self._since_gain = score, 0
        else:
            self._since_gain += 1

    def state_dict(self) -> dict[str, Any]:
        """Best score, and evaluations since."""
        return {"best": self._best, "since_gain": self._since_gain}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._best, self._since_gain = state["best"], state["since_gain"]


class TwoPhaseSampler:
    """One sampler until the joint score is flat, then another.

    The weighted sum of all tasks finds a common solution steadily but coarsely; steps on one task at a time
    then refine it.

    Args:
        first: Usually every task at once.
        second: Usually one task at a time.
        plateau: Ends the first phase.
    """

    def __init__(self, first: Sampler, second: Sampler, plateau: Plateau) -> None:
        self._first, self._second = first, second
        self._plateau = plateau

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Those of the present phase's sampler."""
        return self._present.probabilities

    def draw(self) -> tuple[str, ...]:
        """What the present phase's sampler draws."""
        return self._present.draw()

    def end_step(self, losses: Mapping[str, float]) -> None:
        """Losses do not matter here."""

    def end_evaluation(self, scores: Mapping[str, float], joint_score: float) -> None:  # noqa: ARG002
        """Watch the joint score."""
        self._plateau.update(joint_score)

    def state_dict(self) -> dict[str, Any]:
        """Both samplers' and the plateau's."""
        return {
            "first": self._first.state_dict(),
            "second": self._second.state_dict(),
            "plateau": self._plateau.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._first.load_state_dict(state["first"])
        self._second.load_state_dict(state["second"])
        self._plateau.load_state_dict(state["plateau"])

    @property
    def _present(self) -> Sampler:
        return self._second if self._plateau.is_reached else self._first


class CycleSampler:
    """N draws of one sampler, then one of another: N:1.

    Steps on single tasks, and every now and then one on all of them against forgetting.

    Args:
        often: Drawn from N times.
        once: Drawn from after that.
        n: N, at least 1.
    """

    def __init__(self, often: Sampler, once: Sampler, *, n: int) -> None:
        self._often, self._once = often, once
        self._n = n
        self._draws = 0

    @staticmethod
    def draws_of_often(draws: int, *, n: int) -> int:
        """How many of the first ``draws`` go to the sampler that is drawn from N times."""
        cycles, rest = divmod(draws, n + 1)
        return cycles * n + rest  # the last draw of a cycle is the other's, and the rest has none

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Shares of a cycle's N + 1 draws."""
        often, once = self._often.probabilities, self._once.probabilities
        return {name: (self._n * often[name] + once[name]) / (self._n + 1) for name in often}

    def draw(self) -> tuple[str, ...]:
        """What the sampler whose turn it is draws."""
        sampler = self._once if self._draws % (self._n + 1) == self._n else self._often
        self._draws += 1
        return sampler.draw()

    def state_dict(self) -> dict[str, Any]:
        """Both samplers' and the place in the cycle."""
        return {"often": self._often.state_dict(), "once": self._once.state_dict(), "draws": self._draws}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._often.load_state_dict(state["often"])
        self._once.load_state_dict(state["once"])
        self._draws = state["draws"]
