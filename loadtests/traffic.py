"""Requests of mixed traffic: one task or many, on texts and on pairs."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.duplicates import DuplicatingSource


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """A task, as far as its requests go."""

    name: str
    takes_pair: bool

    @classmethod
    def of(cls, info: dict[str, Any]) -> "TaskForm":
        """From an entry of ``GET /v1/tasks``."""
        return cls(name=info["name"], takes_pair="text_pair" in info["input_fields"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRequest:
    """One request to send."""

    path: str
    group: str
    """Requests that are counted together."""
    body: dict[str, Any]


class Traffic:
    """Draws requests."""

    def __init__(
        self,
        tasks: Sequence[TaskForm],
        source: DuplicatingSource,
        *,
        texts_per_request: int,
        generator: random.Random,
    ) -> None:
        """Mix requests for tasks, of which there is at least one.

        Args:
            tasks: What the service answers.
            source: Where the texts come from.
            texts_per_request: Inputs of each request; a pair counts as one.
            generator: Source of the draws.
        """
        self._tasks = tasks
        self._source = source
        self._texts_per_request = texts_per_request
        self._generator = generator

    def one_task(self) -> TrafficRequest:
        """Any task, by its own route."""
        task = self._generator.choice(self._tasks)
        return TrafficRequest(
            path=f"/v1/tasks/{task.name}/predict",
            group="/v1/tasks/{task}/predict, pairs" if task.takes_pair else "/v1/tasks/{task}/predict, texts",
            body={"inputs": self._inputs(takes_pair=task.takes_pair)},
        )

    def many_tasks(self) -> TrafficRequest:
        """At least two tasks that take inputs of the same form, where there are two."""
        takes_pair = self._generator.choice(self._tasks).takes_pair
        fitting = [task.name for task in self._tasks if task.takes_pair == takes_pair]
        count = self._generator.randint(min(2, len(fitting)), len(fitting))
        return TrafficRequest(
            path="/v1/predict",
            group="/v1/predict, pairs" if takes_pair else "/v1/predict, texts",
            body={
                "inputs": self._inputs(takes_pair=takes_pair),
                "tasks": self._generator.sample(fitting, count),
            },
        )

    def _inputs(self, *, takes_pair: bool) -> list[dict[str, str]]:
        draw = self._source.draw
        if takes_pair:
            return [{"text": draw(), "text_pair": draw()} for _ in range(self._texts_per_request)]
        return [{"text": draw()} for _ in range(self._texts_per_request)]
