"""Chunks of a body → lines, and the buffer that they wait in."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank."""

    number: int
    """From 1, blank lines counted, as an editor shows it."""
    content: bytes | None
    """Without its end; None if it was longer than the bound."""


class LineSplitter:
    """Cuts a stream into lines, whatever its chunks. Holds one line at most."""

    def __init__(self, *, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._parts: list[bytes] = []
        self._num_bytes = 0
        self._number = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for end in ended:
            self._add(end)
            lines += self._end()
        self._add(rest)
        return lines

    def finish(self) -> list[Line]:
        """The last line, if the stream did not end it."""
        return self._end()

    def _add(self, part: bytes) -> None:
        self._num_bytes += len(part)
        if self._num_bytes > self._max_line_bytes:
            self._parts.clear()  # what follows is counted, not kept
        else:
            self._parts.append(part)

    def _end(self) -> list[Line]:
        self._number += 1
        is_too_long = self._num_bytes > self._max_line_bytes
        content = b"".join(self._parts)
        self._parts.clear()
        self._num_bytes = 0
        if is_too_long:
            return [Line(self._number, None)]
        return [Line(self._number, content)] if content.strip() else []


class LineBuffer:
    """Lines between the reader of a body and whoever answers them."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lines: deque[Line] = deque()
        self._num_bytes = 0
        self._is_closed = False
        self._changed = asyncio.Condition()

    async def put(self, lines: Sequence[Line]) -> None:
        """Add lines; wait first while there are too many bytes.

        The bound is on what waits when lines are added, so that one line alone always fits.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._num_bytes < self._max_bytes)
            self._lines.extend(lines)
            self._num_bytes += sum(map(_size, lines))
            self._changed.notify_all()

    async def close(self) -> None:
        """No further lines will come."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    async def take(self, *, max_lines: int, max_bytes: int) -> list[Line]:
        """What is there, up to the bounds but one line at least; waits for it. Empty at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._lines or self._is_closed)
            taken: list[Line] = []
            num_bytes = 0
            while self._lines and len(taken) < max_lines:
                num_bytes += _size(self._lines[0])
                if taken and num_bytes > max_bytes:
                    break
                taken.append(self._lines.popleft())
            self._num_bytes -= sum(map(_size, taken))
            self._changed.notify_all()
            return taken


LINE_BYTES = 100
"""Of a line's objects in memory, beside its content: short lines must count, too."""


def _size(line: Line) -> int:
    return LINE_BYTES + len(line.content or b"")
