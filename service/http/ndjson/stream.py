"""The response that reads its request while it is sent."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.errors import ClientGone
from service.http.ndjson.lines import Line, LineBuffer, LineSplitter

MEDIA_TYPE = "application/x-ndjson"

WINDOW_LINES = 64
"""Enough for the encoder's batches; few enough that the first answers leave early."""
WINDOW_BYTES = 256 * 1024
WINDOWS_IN_FLIGHT = 4

T = TypeVar("T")

Answer: TypeAlias = Callable[[Sequence[Line]], Coroutine[Any, Any, bytes]]


class NdjsonStream(Response):
    """Answers lines as they come.

    Many clients send their whole body before they read any answer. So up to ``max_bytes`` of lines are
    taken in ahead of the answers: a body of that size never waits for its own client.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        answer: Answer,
        *,
        last_line: Callable[[], bytes],
        max_line_bytes: int,
        max_bytes: int,
        patience_s: float,
    ) -> None:
        """Set the stream up.

        Args:
            answer: Lines to the lines that answer them.
            last_line: What ends the stream, asked for when all is answered.
            max_line_bytes: Of one line.
            max_bytes: Of the lines that wait.
            patience_s: How long the client may neither send nor read.
        """
        super().__init__()
        del self.headers["content-length"]  # a response of no known length
        self._answer = answer
        self._last_line = last_line
        self._splitter = LineSplitter(max_line_bytes=max_line_bytes)
        self._buffer = LineBuffer(max_bytes=max_bytes)
        self._patience_s = patience_s
        self._windows: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(WINDOWS_IN_FLIGHT)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request. If the client leaves, its work is dropped."""
        try:
            first = await receive()  # before any answer: asking for it is what lets some clients send
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(first, receive))
                group.create_task(self._dispatch(group))
                await self._write(send)
                reading.cancel()
            await send({"type": "http.response.body", "body": self._last_line()})
        except* ClientGone:
            pass  # nobody is left to be told

    async def _read(self, message: Message, receive: Receive) -> None:
        while message["type"] == "http.request":
            await self._buffer.put(self._splitter.feed(message.get("body", b"")))
            if not message.get("more_body", False):
                await self._buffer.put(self._splitter.finish())
                await self._buffer.close()
                message = await receive()  # it can only be the disconnect
            else:
                message = await self._in_time(receive())
        raise ClientGone("The client closed the connection.")

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._slots.acquire()  # first: the longer it takes, the fuller the window
            lines = await self._buffer.take(max_lines=WINDOW_LINES, max_bytes=WINDOW_BYTES)
            if not lines:
                self._windows.put_nowait(None)
                return
            self._windows.put_nowait(group.create_task(self._answer(lines)))

    async def _write(self, send: Send) -> None:
        while (window := await self._windows.get()) is not None:
            body = await window
            await self._in_time(send({"type": "http.response.body", "body": body, "more_body": True}))
            self._slots.release()

    async def _in_time(self, step: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(step, self._patience_s)
        except TimeoutError:
            raise ClientGone(f"The client neither sent nor read for {self._patience_s} s.") from None
