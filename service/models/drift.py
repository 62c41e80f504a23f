"""How far two versions' answers to one request lie apart. Pure."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Scores: TypeAlias = Mapping[Any, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an answer says, whatever its kind."""

    label: Hashable
    """What was decided; None of a value, which is not a decision."""
    scores: Scores
    """What it was decided by; what is not found counts as 0."""


def decision_of(answer: Mapping[str, Any]) -> Decision:
    """Read an answer of any kind."""
    if "label" in answer:
        return Decision(
            label=answer["label"], scores=answer.get("scores", {answer["label"]: answer["score"]})
        )
    if "labels" in answer:
        return Decision(label=frozenset(answer["labels"]), scores=answer.get("scores", {}))
    if "value" in answer:
        return Decision(label=None, scores={"value": answer["value"]})
    if "ranking" in answer:
        ranking = answer["ranking"]
        return Decision(label=ranking[0]["index"], scores={each["index"]: each["score"] for each in ranking})
    if "entities" in answer:
        found = {(each["start"], each["end"], each["label"]): each["score"] for each in answer["entities"]}
        return Decision(label=frozenset(found), scores=found)
    if "tokens" in answer:
        words = answer["tokens"]
        scores = {place: each["score"] or 0.0 for place, each in enumerate(words)}
        return Decision(label=tuple(each["label"] for each in words), scores=scores)
    if "choice" in answer:
        scores = (
            dict(enumerate(answer["scores"])) if "scores" in answer else {answer["index"]: answer["score"]}
        )
        return Decision(label=answer["index"], scores=scores)
    span = answer["start"], answer["end"]
    return Decision(label=span, scores={span: answer["score"]})


def distance(served: Scores, shadow: Scores) -> float:
    """Largest difference between the scores of one thing."""
    return max(
        (abs(served.get(key, 0.0) - shadow.get(key, 0.0)) for key in {**served, **shadow}), default=0.0
    )


@dataclass(slots=True, kw_only=True)
class TaskDrift:
    """What was seen of one task."""

    compared: int = 0
    decided: int = 0
    agreed: int = 0
    measured: int = 0
    """Answers that told all their scores."""
    distance_sum: float = 0.0
    distance_max: float = 0.0

    def saw(self, served: Mapping[str, Any], shadow: Mapping[str, Any], *, with_scores: bool = True) -> None:
        """Two versions answered one input.

        Args:
            served: The answer that was given.
            shadow: The answer that was not.
            with_scores: Whether both tell all scores; else the decisions alone can be compared.
        """
        here, there = decision_of(served), decision_of(shadow)
        self.compared += 1
        if with_scores:
            gap = distance(here.scores, there.scores)
            self.measured += 1
            self.distance_sum += gap
            self.distance_max = max(self.distance_max, gap)
        if here.label is not None:
            self.decided += 1
            self.agreed += here.label == there.label

    @property
    def agreement(self) -> float | None:
        """Share of equal decisions; None where nothing was decided."""
        return self.agreed / self.decided if self.decided else None

    @property
    def mean_distance(self) -> float | None:
        """Mean of the largest score difference of each answer; None where no answer told its scores."""
        return self.distance_sum / self.measured if self.measured else None


@dataclass(slots=True, kw_only=True)
class Drift:
    """What was seen of one served version and its shadow."""

    requests: int = 0
    failed: int = 0
    """Copies that the shadow did not answer."""
    skipped: int = 0
    """Copies that were not made: enough were under way."""
    tasks: dict[str, TaskDrift] = field(default_factory=dict)

    def saw(
        self,
        served: Sequence[Mapping[str, Any]],
        shadow: Sequence[Mapping[str, Any]],
        *,
        with_scores: bool = True,
    ) -> None:
        """Both answered the inputs of one request, each by task, with all scores or not."""
        self.requests += 1
        for here, there in zip(served, shadow, strict=True):
            for task in here.keys() & there.keys():
                self.tasks.setdefault(task, TaskDrift()).saw(here[task], there[task], with_scores=with_scores)
