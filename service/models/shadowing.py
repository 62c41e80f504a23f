"""Copies of requests to shadow versions: behind the traffic, never in front of it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import ServiceError
from service.inputs import TaskInput
from service.kinds.answers import Answer
from service.kinds.base import AnswerOptions
from service.models.drift import Drift
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.routing import Asked
from service.priorities import Priority

logger = logging.getLogger("bentoml.encodeonce")

MAX_IN_FLIGHT = 4
"""Copies under way at once. Further ones are skipped: a sample is enough, and the traffic comes first."""

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request that was answered, as far as it can be asked again."""

    model: Model
    inputs: Sequence[TaskInput]
    tasks: Sequence[str] | None
    options: AnswerOptions
    answers: Sequence[dict[str, Answer]]
    request_id: str


class Shadows:
    """Asks shadow versions again, and keeps what their answers differ by."""

    def __init__(self, models: ModelRegistry) -> None:
        self._models = models
        self._drifts: dict[tuple[str, str, str], Drift] = defaultdict(Drift)
        self._under_way: set[asyncio.Task[None]] = set()

    def offer(self, answered: Answered) -> None:
        """Take a copy, if the route says so. Returns at once."""
        model = answered.model
        route = self._models.routes.get(model.name)
        version = None if route is None else route.shadowed(model.version, answered.request_id)
        if version is None:
            return
        drift = self._drifts[model.name, model.version, version]
        if len(self._under_way) >= MAX_IN_FLIGHT:
            drift.skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._ask_again(answered, version, drift))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def drift(self, name: str) -> dict[tuple[str, str], Drift]:
        """What was seen of a model: by the version that served and the one that was its shadow."""
        return {
            (served, shadow): drift for (each, served, shadow), drift in self._drifts.items() if each == name
        }

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _ask_again(self, answered: Answered, version: str, drift: Drift) -> None:
        asked = Asked(request_id=answered.request_id, name=answered.model.name, version=version)
        try:
            with self._models.lease(asked) as shadow:
                tasks = answered.tasks
                if tasks is not None:
                    tasks = [task for task in tasks if task in shadow.engine.kinds]
                    if not tasks:
                        return
                prediction = await shadow.engine.predict(
                    answered.inputs,
                    tasks=tasks,
                    options=answered.options,
                    timeout_s=TIMEOUT_S,
                    priority=Priority.BULK,
                )
        except ServiceError as error:
            drift.failed += 1
            logger.warning("The shadow %s %s did not answer: %s", answered.model.name, version, error)
            return
        drift.saw(answered.answers, prediction.answers)
