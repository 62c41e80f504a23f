import asyncio
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from export.manifest import Pooling
from service.encoding import Encoding
from service.second_tier.search import CALL_BYTES, CALL_KEYS
from service.second_tier.write_behind import Entry, WriteBehind

KEY = b"k" * 40


def encoding(num_bytes: int) -> Encoding:
    """So many bytes of numbers, which take no memory as long as nobody writes into them."""
    half = num_bytes // 8
    vectors = {Pooling.CLS: np.zeros(half, dtype=np.float32)}
    return Encoding(pooled=vectors, states=np.zeros(num_bytes // 4 - half, dtype=np.float32))


class Shelf:
    """Takes what is written, once its gate is open."""

    def __init__(self) -> None:
        self.calls: list[Sequence[Entry]] = []
        self.gate = asyncio.Event()

    async def write(self, entries: Sequence[Entry]) -> None:
        self.calls.append(entries)
        await self.gate.wait()


@given(st.lists(st.integers(1, CALL_BYTES // 2).map(lambda n: 4 * n), min_size=1, max_size=300))
async def test_what_waits_keeps_its_bound_and_what_was_taken_is_written_in_order(sizes: list[int]) -> None:
    shelf = Shelf()
    queue = WriteBehind(shelf.write, max_bytes=4 * CALL_BYTES)
    given_ones = [encoding(size) for size in sizes]
    taken = []
    for number, each in enumerate(given_ones):
        if queue.put(KEY, each):
            taken.append(each)
        assert queue.num_bytes <= 4 * CALL_BYTES
        if number % 7 == 0:
            await asyncio.sleep(0)  # the writer takes a call's worth, and stands before the gate
    shelf.gate.set()
    await queue.flush()
    assert queue.num_bytes == 0
    assert [each for call in shelf.calls for _, each in call] == taken
    for call in shelf.calls:
        assert len(call) <= CALL_KEYS
        assert sum(each.num_bytes + len(KEY) for _, each in call[:-1]) < CALL_BYTES
    await queue.close()


async def test_what_is_larger_than_the_bound_is_not_taken_and_leaves_the_queue_usable() -> None:
    shelf = Shelf()
    shelf.gate.set()
    queue = WriteBehind(shelf.write, max_bytes=1000)
    assert not queue.put(KEY, encoding(1000))
    assert queue.put(KEY, encoding(100))
    await queue.flush()
    assert len(shelf.calls) == 1
    await queue.close()
