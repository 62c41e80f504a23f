"""The response that reads its request while it is sent."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.errors import ClientGone
from service.http.ndjson.lines import Line, LineBuffer, LineSplitter

MEDIA_TYPE = "application/x-ndjson"

WINDOW_LINES = 64
"""Enough for the encoder's batches; few enough that the first answers leave early."""
WINDOW_BYTES = 256 * 1024
WINDOWS_IN_FLIGHT = 4

Answer: TypeAlias = Callable[[Sequence[Line]], Coroutine[Any, Any, bytes]]
Window: TypeAlias = tuple[int, asyncio.Task[bytes]]
"""Number of lines, and their answers."""


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
            patience_s: How long the client may neither send nor read, as long as the stream waits for it: an
                answer is on its way out, or none is owed.
        """
        super().__init__()
        del self.headers["content-length"]  # a response of no known length
        self._answer = answer
        self._last_line = last_line
        self._splitter = LineSplitter(max_line_bytes=max_line_bytes)
        self._buffer = LineBuffer(max_bytes=max_bytes)
        self._patience_s = patience_s
        self._patience = asyncio.timeout(patience_s)
        self._owed_lines = 0
        """Taken in, and their answers not sent."""
        self._is_sending = False
        self._windows: asyncio.Queue[Window | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(WINDOWS_IN_FLIGHT)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request. If the client leaves, its work is dropped."""
        with suppress(TimeoutError):  # it stays, but does nothing any more: the same
            async with self._patience:
                await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
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
            lines = self._splitter.feed(message.get("body", b""))
            is_last = not message.get("more_body", False)
            if is_last:
                lines += self._splitter.finish()
            self._owed_lines += len(lines)
            self._saw_movement()
            await self._buffer.put(lines)
            if is_last:
                await self._buffer.close()
            message = await receive()  # after the last one it can only be the disconnect
        raise ClientGone("The client closed the connection.")

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._slots.acquire()  # first: the longer it takes, the fuller the window
            lines = await self._buffer.take(max_lines=WINDOW_LINES, max_bytes=WINDOW_BYTES)
            if not lines:
                self._windows.put_nowait(None)
                return
            self._windows.put_nowait((len(lines), group.create_task(self._answer(lines))))

    async def _write(self, send: Send) -> None:
        while (window := await self._windows.get()) is not None:
            num_lines, answering = window
            body = await answering
            self._is_sending = True
            self._saw_movement()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            self._is_sending = False
            self._owed_lines -= num_lines
            self._saw_movement()
            self._slots.release()

    def _saw_movement(self) -> None:
        """Something has moved: the client's time begins anew, or stops while it is not its turn."""
        if self._patience.expired():
            return
        is_its_turn = self._is_sending or not self._owed_lines
        now_s = asyncio.get_running_loop().time()
        self._patience.reschedule(now_s + self._patience_s if is_its_turn else None)
