import random
import sys
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.byte_lru import NODE_BYTES, ByteLRU


def entry_bytes(key: bytes, value: bytes) -> int:
    return len(value) + sys.getsizeof(key) + NODE_BYTES


def store(max_bytes: int) -> ByteLRU[bytes]:
    return ByteLRU(max_bytes, size_of=len)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900)), max_size=200), st.integers(0, 3000))
def test_the_bound_holds_after_every_step_and_the_count_is_exact(
    steps: list[tuple[int, int]], max_bytes: int
) -> None:
    lru = store(max_bytes)
    kept: dict[bytes, bytes] = {}
    for number, size in steps:
        key, value = bytes([number]), bytes(size)
        lru.put(key, value)
        kept[key] = value
        assert lru.num_bytes <= max_bytes
        assert lru.num_bytes == sum(entry_bytes(k, v) for k, v in kept.items() if k in lru)


def test_the_least_recently_used_entry_leaves_first() -> None:
    room_for_two = 2 * entry_bytes(b"a", b"x")
    lru = store(room_for_two)
    lru.put(b"a", b"x")
    lru.put(b"b", b"x")
    assert lru.get(b"a") == b"x"
    lru.put(b"c", b"x")
    assert (b"a" in lru, b"b" in lru, b"c" in lru) == (True, False, True)
    assert lru.num_evicted == 1


def test_a_value_beyond_the_whole_bound_pushes_nothing_out() -> None:
    lru = store(entry_bytes(b"a", b"x"))
    lru.put(b"a", b"x")
    lru.put(b"b", bytes(1000))
    assert b"a" in lru
    assert b"b" not in lru


def test_a_bound_of_zero_stores_nothing() -> None:
    lru = store(0)
    lru.put(b"a", b"")
    assert len(lru) == 0


def test_the_accounting_is_near_the_memory_that_python_really_takes() -> None:
    lru: ByteLRU[np.ndarray] = ByteLRU(10**9, size_of=sys.getsizeof)
    generator = random.Random(0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(3000):
        lru.put(generator.randbytes(120), np.zeros(384, dtype=np.float32).copy())
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.9 < lru.num_bytes / (after - before) < 1.15
