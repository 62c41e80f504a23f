"""Lines → answers: a bad line, or one that the engine fails on, never harms the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar

from pydantic_core import from_json, to_json

from service.engine import StageTimes, Usage
from service.errors import (
    InferenceFailed,
    InvalidRequest,
    MalformedBody,
    Overloaded,
    RequestTooLarge,
    ServiceError,
)
from service.http.answering import TURNED_AWAY
from service.http.models import Leased
from service.http.ndjson.lines import Line
from service.http.problems import problem
from service.http.requests import parse_inputs
from service.inputs import TaskInput, count_sequences
from service.keys.ring import ApiKey
from service.kinds.base import AnswerOptions
from service.limits import check_inputs
from service.priorities import Priority
from service.settings import Settings

T = TypeVar("T")

MIN_PAUSE_S = 0.01
"""Before a full queue is tried again, however soon it promises room."""

Outcome: TypeAlias = dict[str, Any] | ServiceError
"""What becomes of a line: members of its answer, or the problem."""


NOTHING = Usage(tokens=0, encoder_rows=0, cache_hits=0, coalesced=0)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a stream has come to so far."""

    lines: int = 0
    failed: int = 0
    usage: dict[str, int] = field(default_factory=lambda: NOTHING.counts())

    def add_usage(self, usage: Usage) -> None:
        """Count what one call of the engine cost."""
        for name, count in usage.counts().items():
            self.usage[name] += count

    def to_line(self) -> bytes:
        """The last line of a stream; without it, the stream was cut off."""
        return to_json({"summary": asdict(self)}) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAnswerer:
    """Answers the lines of one stream."""

    lease: Callable[[], AbstractContextManager[Leased]]
    """Of the model that answers. For each window anew, so that a stream holds no model for ever."""
    key: ApiKey | None
    """Whose rate the inputs count against. What it refuses waits, as for the queue."""
    tenant: str
    """Whose cache to use."""
    settings: Settings
    tasks: tuple[str, ...] | None
    is_one_task: bool
    """Whether a prediction is the answer of the only task, not a table of answers by task."""
    options: AnswerOptions
    timeout_s: float
    """For each window of lines, from when it is taken up."""
    priority: Priority
    request_id: str
    times: StageTimes
    """Windows overlap: of each stage, those of the window that went through it last."""
    tally: Tally = field(default_factory=Tally)

    async def answer(self, lines: Sequence[Line]) -> bytes:
        """The answers of a window of lines, as lines."""
        outcomes: list[Outcome | None] = []
        inputs: list[TaskInput] = []
        for line in lines:
            try:
                inputs.append(self._parse(line))
            except ServiceError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        answered = iter(await self._answer_inputs(inputs) if inputs else [])
        return b"".join(
            self._to_line(line, next(answered) if outcome is None else outcome)
            for line, outcome in zip(lines, outcomes, strict=True)
        )

    def _parse(self, line: Line) -> TaskInput:
        if line.content is None:
            raise RequestTooLarge(f"The line has more than {self.settings.max_body_bytes} bytes.")
        try:
            value = from_json(line.content, allow_inf_nan=False)
        except ValueError as error:
            raise MalformedBody(f"The line is not valid JSON: {error}.") from None
        (each,) = parse_inputs([value], max_inputs=self.settings.max_inputs)
        check_inputs([each], self.settings)
        return each

    async def _answer_inputs(self, inputs: Sequence[TaskInput]) -> list[Outcome]:
        deadline_s = _clock() + self.timeout_s
        try:
            await _patiently(partial(self._admit, inputs), deadline_s)
        except Overloaded as error:
            return [error] * len(inputs)
        outcomes = await self._predict(inputs, deadline_s)
        self._give_back(
            [each for each, how in zip(inputs, outcomes, strict=True) if isinstance(how, TURNED_AWAY)]
        )
        return outcomes

    async def _admit(self, inputs: Sequence[TaskInput]) -> None:
        if self.key is not None:
            self.key.charge(sum(map(count_sequences, inputs)))

    def _give_back(self, inputs: Sequence[TaskInput]) -> None:
        if self.key is not None:
            self.key.give_back(sum(map(count_sequences, inputs)))

    async def _predict(self, inputs: Sequence[TaskInput], deadline_s: float) -> list[Outcome]:
        """One call for all; if it fails on one of them, each alone."""
        try:
            return await _patiently(partial(self._predict_jointly, inputs, deadline_s), deadline_s)
        except (InvalidRequest, InferenceFailed) as error:
            if len(inputs) == 1:
                return [error]
        except ServiceError as error:
            return [error] * len(inputs)
        try:
            return await _patiently(partial(self._predict_apart, inputs, deadline_s), deadline_s)
        except ServiceError as error:
            return [error] * len(inputs)

    async def _predict_jointly(self, inputs: Sequence[TaskInput], deadline_s: float) -> list[Outcome]:
        with self.lease() as model:
            return await self._ask(model, inputs, deadline_s)

    async def _predict_apart(self, inputs: Sequence[TaskInput], deadline_s: float) -> list[Outcome]:
        """Side by side, so that the good ones share the encoder's batches."""
        with self.lease() as model:
            return await asyncio.gather(*(self._outcome_of(model, each, deadline_s) for each in inputs))

    async def _outcome_of(self, model: Leased, given: TaskInput, deadline_s: float) -> Outcome:
        try:
            (outcome,) = await _patiently(partial(self._ask, model, [given], deadline_s), deadline_s)
        except ServiceError as error:
            return error
        return outcome

    async def _ask(self, model: Leased, inputs: Sequence[TaskInput], deadline_s: float) -> list[Outcome]:
        prediction = await model.engine.predict(
            inputs,
            tasks=self.tasks,
            options=self.options,
            tenant=self.tenant,
            timeout_s=deadline_s - _clock(),
            times=self.times,
            priority=self.priority,
        )
        self.tally.add_usage(prediction.usage)
        return [{"version": model.version, "prediction": self._unwrap(each)} for each in prediction.answers]

    def _unwrap(self, answers: dict[str, Any]) -> Any:  # noqa: ANN401 - an answer, or a table of them
        return next(iter(answers.values())) if self.is_one_task else answers

    def _to_line(self, line: Line, outcome: Outcome) -> bytes:
        self.tally.lines += 1
        if isinstance(outcome, ServiceError):
            self.tally.failed += 1
            document = problem(outcome, request_id=self.request_id)
            for each in document.get("errors", ()):
                each["field"] = _within_line(each["field"])
            return to_json({"line": line.number, "problem": document}) + b"\n"
        return to_json({"line": line.number, **outcome}) + b"\n"


async def _patiently(step: Callable[[], Awaitable[T]], deadline_s: float) -> T:
    """Take a step; where it would have to be tried again later, do so: a stream waits for room."""
    while True:
        try:
            return await step()
        except Overloaded as error:
            pause_s = max(error.retry_after_s, MIN_PAUSE_S)
            if pause_s >= deadline_s - _clock():
                raise
            await asyncio.sleep(pause_s)


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _within_line(path: str) -> str:
    """``inputs.0.text`` → ``text``: every line is an input by itself."""
    return path.removeprefix("inputs.0").removeprefix(".") or "line"
