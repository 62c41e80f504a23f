"""Steady traffic against a running service, and a record of every answer."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

PATIENCE_S = 300.0
"""Bound of a wait that ends within seconds; reached only when something is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that was not answered as it should be."""

    sent_s: float
    """On the monotonic clock."""
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Traffic:
    """A few clients that ask one request after the other until they are told to stop."""

    url: str
    texts: list[str]
    clients: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of every request, beside its text."""
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Text and answer of every request that was answered."""
    failures: list[Failure] = field(default_factory=list)
    forgiven: int = 0
    """Failures that do not end a wait."""
    counted_header: str = "x-model-version"
    answered_by: Counter[str] = field(default_factory=Counter)
    """Answers by the value of that header."""
    keeps_connections: bool = True
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        limits = httpx.Limits(max_keepalive_connections=None if self.keeps_connections else 0)
        self._client = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, limits=limits)
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    async def after(self, count: int) -> None:
        """Wait until so many further requests were answered."""
        goal = len(self.answers) + count
        await self._until(lambda: len(self.answers) >= goal)

    async def after_from(self, value: str, count: int) -> None:
        """Wait until so many further answers had this value of the counted header."""
        goal = self.answered_by[value] + count
        await self._until(lambda: self.answered_by[value] >= goal)

    async def _until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not happened() and len(self.failures) <= self.forgiven:
                self._settled.clear()
                await self._settled.wait()

    def versions(self) -> Mapping[str, int]:
        """How many answers each version gave."""
        counted: dict[str, int] = {}
        for _, answer in self.answers:
            counted[answer["version"]] = counted.get(answer["version"], 0) + 1
        return counted

    async def _ask(self, number: int) -> None:
        while True:
            text = self.texts[number % len(self.texts)]
            number += 1
            sent_s = time.monotonic()
            try:
                response = await self._client.post("/v1/predict", json={"inputs": [text], **self.options})
            except httpx.TransportError as error:
                self.failures.append(Failure(sent_s=sent_s, what=repr(error)))
            else:
                self._note(text, response, sent_s)
            self._settled.set()

    def _note(self, text: str, response: httpx.Response, sent_s: float) -> None:
        if response.status_code == 200:
            self.answers.append((text, response.json()))
            self.answered_by[response.headers.get(self.counted_header, "")] += 1
        else:
            what = f"{response.status_code} {response.text}"
            self.failures.append(Failure(sent_s=sent_s, what=what, headers=response.headers))
