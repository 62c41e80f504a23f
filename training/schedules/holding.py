"""Tasks that are held back: they step only at every Δ-th of their turns, so that nothing is forgotten."""

from collections.abc import Mapping
from typing import Any, Protocol

from training.samplers import Sampler


class HoldingRule(Protocol):
    """Decides which tasks are held."""

    @property
    def held(self) -> frozenset[str]:
        """Names of the tasks that are held at present."""
        ...

    def end_step(self, losses: Mapping[str, float]) -> None:
        """Learn from an optimizer step.

        Args:
            losses: Of the tasks in the step.
        """
        ...

    def end_evaluation(self, scores: Mapping[str, float], joint_score: float) -> None:
        """Learn from an evaluation on the selection split.

        Args:
            scores: Each task's primary metric.
            joint_score: Of all tasks, as declared.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the next decision depends on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        ...


class HoldingSampler:
    """Lets a held task pass at every Δ-th of its turns; its other turns go to the next draw.

    Args:
        sampler: Whose draws are filtered.
        rule: Which tasks are held.
        every: Δ, at least 1. So a draw is always found, whichever tasks are held.
    """

    def __init__(self, sampler: Sampler, rule: HoldingRule, *, every: int) -> None:
        self._sampler = sampler
        self._rule = rule
        self._every = every
        self._turns: dict[str, int] = {}

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The sampler's, with a held task's at 1/Δ of it."""
        held, before = self._rule.held, self._sampler.probabilities
        total = sum(before.values())
        cut = {name: p / self._every if name in held else p for name, p in before.items()}
        if total > 1 + 1e-9:  # several tasks a draw: nobody takes the held task's place
            return cut
        return {name: p / sum(cut.values()) for name, p in cut.items()}

    def draw(self) -> tuple[str, ...]:
        """Names of the tasks that may step."""
        while True:
            admitted = tuple(name for name in self._sampler.draw() if self._admits(name))
            if admitted:
                return admitted

    def end_step(self, losses: Mapping[str, float]) -> None:
        """Tell the rule, and the sampler if it listens."""
        for part in self._listeners():
            part.end_step(losses)

    def end_evaluation(self, scores: Mapping[str, float], joint_score: float) -> None:
        """Tell the rule, and the sampler if it listens."""
        for part in self._listeners():
            part.end_evaluation(scores, joint_score)

    def state_dict(self) -> dict[str, Any]:
        """The sampler's, the rule's and the turns of held tasks."""
        return {
            "sampler": self._sampler.state_dict(),
            "rule": self._rule.state_dict(),
            "turns": dict(self._turns),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._sampler.load_state_dict(state["sampler"])
        self._rule.load_state_dict(state["rule"])
        self._turns = dict(state["turns"])

    def _admits(self, name: str) -> bool:
        if name not in self._rule.held:
            self._turns.pop(name, None)
            return True
        self._turns[name] = self._turns.get(name, 0) + 1
        return self._turns[name] % self._every == 0

    def _listeners(self) -> list[Any]:
        return [part for part in (self._rule, self._sampler) if hasattr(part, "end_step")]
