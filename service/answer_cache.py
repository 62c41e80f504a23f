"""Answers that were given before, under the exact request: asked again, it costs no work at all.

The encoder's cache spares a text its pass, whatever task asks about it. Tokens, head and decoding are spared
here, for a request that is the same in every word.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from service.byte_lru import ByteLRU
from service.engine import Prediction
from service.inputs import TaskInput
from service.kinds.base import AnswerOptions

MAX_INPUTS = 16
"""Inputs of a request that is remembered. Those of a job hardly ever come again as they were, and would push
out what does."""


MAX_VALUES = 10_000
"""Objects that answers may be made of to be remembered. To weigh them takes the event loop a millisecond;
those of long texts are a million."""


@dataclass(frozen=True, kw_only=True)  # no slots: the key is kept once it was made
class Question:
    """All that an answer depends on."""

    model: int
    """Serial number of the loaded model: a name and version may be loaded anew, from other files."""
    tenant: str
    tasks: Sequence[str] | None
    options: AnswerOptions
    inputs: Sequence[TaskInput]

    @cached_property
    def key(self) -> bytes:
        """The question in full, in Python's own notation, which quotes texts: nothing can collide."""
        return repr((self.model, self.tenant, self.tasks, self.options, self.inputs)).encode()


class AnswerCache:
    """Predictions by question."""

    def __init__(self, max_bytes: int) -> None:
        """Set up an empty cache.

        Args:
            max_bytes: Bound of what it holds. 0 switches it off.
        """
        self.predictions: ByteLRU[Prediction] = ByteLRU(max_bytes, size_of=_size_of)

    def get(self, question: Question) -> Prediction | None:
        """What was answered. It is shared: never change it."""
        return self.predictions.get(question.key) if self._takes(question) else None

    def put(self, question: Question, prediction: Prediction) -> None:
        """Keep an answer, as one to which nothing was computed."""
        if self._takes(question):
            self.predictions.put(question.key, prediction.repeated())

    def _takes(self, question: Question) -> bool:
        return self.predictions.max_bytes > 0 and len(question.inputs) <= MAX_INPUTS


def _size_of(prediction: Prediction) -> int:
    """At least what it holds: labels, which all answers of a task share, are charged to each of them.

    More than any bound where it is made of too many values, so that it is not kept.
    """
    within = list(islice(_all_within(prediction.answers), MAX_VALUES + 1))
    if len(within) > MAX_VALUES:
        return sys.maxsize
    counts = prediction.usage.counts().values()
    others = (prediction, prediction.usage, *counts, *_all_within(prediction.sequences))
    return sum(map(sys.getsizeof, (*within, *others)))


def _all_within(value: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever answers are made of
    """It, and what it holds at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        yield each
        if isinstance(each, dict):
            waiting += each.keys()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
