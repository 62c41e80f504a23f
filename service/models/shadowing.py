"""Copies of requests to shadow versions: behind the traffic, never in front of it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.errors import ServiceError
from service.inputs import TaskInput
from service.kinds.answers import Answer
from service.kinds.base import AnswerOptions
from service.models.drift import Drift
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.routing import Asked, Share
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
    tenant: str
    """Whose cache it used; the copy uses the same."""
    answers: Sequence[dict[str, Answer]]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What is known of one shadow."""

    shadow: Share
    """Told apart by identity: one that is ended and set again is another."""
    drifts: dict[tuple[str, str], Drift] = field(default_factory=lambda: defaultdict(Drift))
    """By the version that served and the shadow's."""


class Shadows:
    """Asks shadow versions again, and keeps what their answers differ by."""

    def __init__(self, models: ModelRegistry) -> None:
        self._models = models
        self._reports: dict[str, _Report] = {}
        """Of each model that has, or had, a shadow."""
        self._under_way: set[asyncio.Task[None]] = set()

    def offer(self, answered: Answered) -> None:
        """Take a copy, if the route says so. Returns at once."""
        model = answered.model
        route = self._models.routes.get(model.name)
        version = None if route is None else route.shadowed(model.version, answered.request_id)
        if route is None or route.shadow is None or version is None:
            return
        drift = self._report_of(model.name, route.shadow).drifts[model.version, version]
        if len(self._under_way) >= MAX_IN_FLIGHT:
            drift.skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._ask_again(answered, version, drift))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def drift(self, name: str) -> dict[tuple[str, str], Drift]:
        """What was seen of a model's last shadow: by the version that served and the shadow's."""
        return dict(self._reports[name].drifts) if name in self._reports else {}

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _report_of(self, name: str, shadow: Share) -> _Report:
        report = self._reports.get(name)
        if report is None or report.shadow is not shadow:
            report = _Report(shadow=shadow)
            loaded = self._models.names
            self._reports = {each: kept for each, kept in self._reports.items() if each in loaded}
            self._reports[name] = report
        return report

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
                    tenant=answered.tenant,
                    timeout_s=TIMEOUT_S,
                    priority=Priority.BULK,
                )
        except ServiceError as error:
            drift.failed += 1
            logger.warning("The shadow %s %s did not answer: %s", answered.model.name, version, error)
            return
        drift.saw(answered.answers, prediction.answers, with_scores=answered.options.tells_all_scores)
