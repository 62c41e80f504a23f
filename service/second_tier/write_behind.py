"""Encodings that wait to be stored, behind the requests that computed them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from service.encoding import Encoding
from service.second_tier.search import take_call

Entry: TypeAlias = tuple[bytes, Encoding]
"""Key and encoding."""


class WriteBehind:
    """A queue that forgets what it cannot hold, and the task that empties it."""

    def __init__(self, write: Callable[[Sequence[Entry]], Awaitable[None]], *, max_bytes: int) -> None:
        """Set up an empty queue.

        Args:
            write: Stores what one call takes. It must not raise: nothing would be written any more.
            max_bytes: Bound of what waits. The cache has let go of it, perhaps.
        """
        self._write = write
        self._max_bytes = max_bytes
        self._waiting: deque[Entry] = deque()
        self.num_bytes = 0
        """Of what waits."""
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._writer: asyncio.Task[None] | None = None

    def put(self, key: bytes, encoding: Encoding) -> bool:
        """Queue one; False if there is no room."""
        num_bytes = _size_of((key, encoding))
        if self.num_bytes + num_bytes > self._max_bytes:
            return False
        self._waiting.append((key, encoding))
        self.num_bytes += num_bytes
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), name="second tier")
        self._idle.clear()
        self._wake.set()
        return True

    async def flush(self) -> None:
        """Wait until nothing waits to be written."""
        await self._idle.wait()

    async def close(self) -> None:
        """Write no more."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while together := take_call(self._leaving(), _size_of):
                await self._write(together)
            self._idle.set()

    def _leaving(self) -> Iterator[Entry]:
        while self._waiting:
            entry = self._waiting.popleft()
            self.num_bytes -= _size_of(entry)
            yield entry


def _size_of(entry: Entry) -> int:
    key, encoding = entry
    return len(key) + encoding.num_bytes
