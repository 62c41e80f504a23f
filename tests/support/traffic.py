"""Steady traffic against a running service, and a record of every answer."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx


@dataclass(kw_only=True)
class Traffic:
    """A few clients that ask one request after the other until they are told to stop."""

    url: str
    texts: list[str]
    clients: int = 4
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Text and answer of every request that was answered."""
    failures: list[str] = field(default_factory=list)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(base_url=self.url, timeout=60)
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
        while len(self.answers) < goal and not self.failures:
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
            try:
                response = await self._client.post("/v1/predict", json={"inputs": [text]})
            except httpx.TransportError as error:
                self.failures.append(repr(error))
                self._settled.set()
                continue
            if response.status_code == 200:
                self.answers.append((text, response.json()))
            else:
                self.failures.append(f"{response.status_code} {response.text}")
            self._settled.set()
