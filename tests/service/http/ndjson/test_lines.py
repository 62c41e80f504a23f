"""Lines do not depend on chunks; the buffer is bounded both ways."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from service.http.ndjson.lines import LINE_BYTES, Line, LineBuffer, LineSplitter

BODIES = st.lists(
    st.sampled_from([b"a", b"bcd", b"\n", b"\r\n", b" ", b"", b"0123456789", "é".encode()]), max_size=40
)


def split(chunks: list[bytes], max_line_bytes: int = 12) -> list[Line]:
    splitter = LineSplitter(max_line_bytes=max_line_bytes)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


@given(BODIES)
def test_lines_do_not_depend_on_chunks(chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    assert split(chunks) == split([body]) == split([bytes([byte]) for byte in body])


@given(BODIES)
def test_every_line_that_is_not_blank_is_there_with_its_number(chunks: list[bytes]) -> None:
    lines = b"".join(chunks).split(b"\n")
    assert split(chunks) == [
        Line(number, line if len(line) <= 12 else None)
        for number, line in enumerate(lines, 1)
        if line.strip() or len(line) > 12
    ]


def test_a_splitter_holds_no_more_than_a_line() -> None:
    splitter = LineSplitter(max_line_bytes=10)
    for _ in range(1000):
        assert splitter.feed(b"x" * 8) == []
    assert sum(map(len, splitter._parts)) <= 10
    assert splitter.feed(b"\nab\n") == [Line(1, None), Line(2, b"ab")]


async def test_whoever_adds_waits_while_the_buffer_is_full() -> None:
    buffer = LineBuffer(max_bytes=LINE_BYTES + 1)
    await buffer.put([Line(1, b"a" * 500)])  # one alone always fits
    waiting = asyncio.create_task(buffer.put([Line(2, b"b"), Line(3, b"c")]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await buffer.take(max_lines=9, max_bytes=1) == [Line(1, b"a" * 500)]
    await waiting
    assert await buffer.take(max_lines=9, max_bytes=1) == [Line(2, b"b")]
    assert await buffer.take(max_lines=9, max_bytes=10_000) == [Line(3, b"c")]
    taking = asyncio.create_task(buffer.take(max_lines=9, max_bytes=9))
    await asyncio.sleep(0)
    assert not taking.done()
    await buffer.close()
    assert await taking == []
