"""The client for asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Self, TypeVar, Unpack

import httpx

from encodeonce_client import calls
from encodeonce_client.answers import Answer
from encodeonce_client.calls import Call, Input, Options
from encodeonce_client.exchange import Outcome, Pause, exchange, http_settings, request_of
from encodeonce_client.responses import Embeddings, LineResult, Predictions, TaskInfo, TaskPredictions
from encodeonce_client.retries import Retries

T = TypeVar("T")


class AsyncClient:
    """As ``Client``, awaited."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As ``Client``."""
        settings = http_settings(base_url, api_key=api_key, model=model, version=version, timeout_s=timeout_s)
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(**settings, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self, inputs: Sequence[Input], tasks: Sequence[str] | None = None, **options: Unpack[Options]
    ) -> Predictions:
        """As ``Client.predict``."""
        return await self._run(calls.predict(inputs, tasks, options))

    async def predict_task(
        self, task: str, inputs: Sequence[Input], **options: Unpack[Options]
    ) -> TaskPredictions:
        """As ``Client.predict_task``."""
        return await self._run(calls.predict_task(task, inputs, options))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """As ``Client.embed``."""
        return await self._run(calls.embed(texts))

    async def tasks(self) -> dict[str, TaskInfo]:
        """As ``Client.tasks``."""
        return await self._run(calls.tasks())

    async def is_ready(self) -> bool:
        """As ``Client.is_ready``."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.RequestError:
            return False

    async def predict_many(
        self,
        inputs: Iterable[Input],
        tasks: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
        concurrency: int = 4,
        **options: Unpack[Options],
    ) -> AsyncIterator[Mapping[str, Answer]]:
        """As ``Client.predict_many``."""
        batches = (calls.predict(chunk, tasks, options) for chunk in calls.chunks(inputs, size=batch_size))
        async with aclosing(self._run_in_order(batches, concurrency)) as answers:
            async for answered in answers:
                for each in answered.predictions:
                    yield each

    async def stream(
        self,
        inputs: Iterable[Input],
        tasks: Sequence[str] | None = None,
        *,
        batch_size: int = 256,
        concurrency: int = 2,
        **options: Unpack[Options],
    ) -> AsyncIterator[LineResult]:
        """As ``Client.stream``."""
        parts = (calls.stream(lines, tasks, options) for lines in calls.line_chunks(inputs, size=batch_size))
        async with aclosing(self._run_in_order(parts, concurrency)) as answers:
            async for results in answers:
                for each in results:
                    yield each

    async def _run(self, call: Call[T]) -> T:
        steps = exchange(call, self._retries)
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = await self._send(call)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, call: Call[T]) -> Outcome:
        try:
            return await self._http.send(request_of(self._http, call))
        except httpx.RequestError as error:
            return error

    async def _run_in_order(self, given: Iterable[Call[T]], concurrency: int) -> AsyncGenerator[T, None]:
        under_way: deque[asyncio.Task[T]] = deque()
        try:
            for call in given:
                if len(under_way) == concurrency:
                    yield await under_way.popleft()
                under_way.append(asyncio.create_task(self._run(call)))
            while under_way:
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
