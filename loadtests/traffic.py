"""Requests of mixed traffic: one task or many, on inputs of every form."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from loadtests.duplicates import DuplicatingSource

CANDIDATES = 4
"""Documents of a ranking, and choices of a question."""
CONTEXT_TEXTS = 6
"""Texts that make a context, one behind the other."""

Draw: TypeAlias = Callable[[], str]
Form: TypeAlias = tuple[str, ...]
"""Fields of an input."""

FORMS: Mapping[Form, Callable[[Draw], dict[str, Any]]] = {
    ("text",): lambda draw: {"text": draw()},
    ("text", "text_pair"): lambda draw: {"text": draw(), "text_pair": draw()},
    ("query", "documents"): lambda draw: {"query": draw(), "documents": _texts(draw, CANDIDATES)},
    ("question", "context"): lambda draw: {
        "question": draw(),
        "context": " ".join(_texts(draw, CONTEXT_TEXTS)),
    },
    ("context", "choices"): lambda draw: {"context": draw(), "choices": _texts(draw, CANDIDATES)},
}
"""An input of each form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """A task, as far as its requests go."""

    name: str
    form: Form

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> "TaskForm":
        """From an entry of ``GET /v1/tasks``: the first of its forms."""
        return cls(name=info["name"], form=tuple(info["inputs"][0]))


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
            texts_per_request: Inputs of each request; a pair or a query with its documents counts as one.
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
            group=f"/v1/tasks/{{task}}/predict, {_words(task.form)}",
            body={"inputs": self._inputs(task.form)},
        )

    def many_tasks(self) -> TrafficRequest:
        """At least two tasks that take inputs of the same form, where there are two."""
        form = self._generator.choice(self._tasks).form
        fitting = [task.name for task in self._tasks if task.form == form]
        count = self._generator.randint(min(2, len(fitting)), len(fitting))
        return TrafficRequest(
            path="/v1/predict",
            group=f"/v1/predict, {_words(form)}",
            body={"inputs": self._inputs(form), "tasks": self._generator.sample(fitting, count)},
        )

    def _inputs(self, form: Form) -> list[dict[str, Any]]:
        return [FORMS[form](self._source.draw) for _ in range(self._texts_per_request)]


def _texts(draw: Draw, count: int) -> list[str]:
    return [draw() for _ in range(count)]


def _words(form: Form) -> str:
    return " and ".join(form)
