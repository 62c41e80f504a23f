"""The second tier on a real server: shared by replicas; harmless when slow, gone, full or garbled."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.assembly import Runtime
from service.encoding import Encoding
from service.kinds.answers import Answer
from service.second_tier.redis import COOLDOWN_S, MAX_FAILURES, MAX_READS, MAX_WAITING_BYTES
from tests.support.redis_process import RedisServer, redis_server
from tests.support.service_fakes import PATIENCE_S, TAGS, FakeEncoderSession, parts, running, task

TIMEOUT_S = 60.0
BOUND_MS = 20_000
"""Of reading, where the server answers: the machine may be busy."""
TASKS = {"intent": task(labels=("ask", "buy", "leave")), "entities": task("tagging", labels=TAGS)}


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    with shared_server.client() as client:
        client.config_set("maxmemory", "0")
        client.flushall()
    return shared_server


def replica(server: RedisServer, encoder: FakeEncoderSession | None = None, **given: Any) -> Any:
    """A runtime with a cache of its own, and the server for its second tier."""
    settings = {"redis_url": server.url, "redis_timeout_ms": BOUND_MS, **given}
    return running(parts(TASKS, encoder=encoder), **settings)


async def ask(
    runtime: Runtime, *texts: str, tasks: tuple[str, ...] = ("intent",)
) -> tuple[list[Answer], int]:
    """Answers of the first task, and how many rows the encoder computed for them."""
    prediction = await runtime.engine.predict(list(texts), tasks=tasks, timeout_s=TIMEOUT_S)
    return [each[tasks[0]] for each in prediction.answers], prediction.usage.encoder_rows


async def written(runtime: Runtime) -> None:
    """Wait until the writer has nothing left."""
    assert runtime.tier is not None
    await runtime.tier.flush()


def outcomes(runtime: Runtime, direction: str) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for family in runtime.metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"encodeonce_tier_{direction}_total" and sample.value
    }


@pytest.fixture
async def expected() -> AsyncIterator[list[Answer]]:
    """What a service without a second tier answers."""
    async with running(parts(TASKS)) as alone:
        yield (await ask(alone, "a b", "c"))[0]


async def test_what_one_replica_computed_another_finds(server: RedisServer, expected: list[Answer]) -> None:
    async with replica(server) as first, replica(server) as second:
        assert await ask(first, "a b", "c") == (expected, 2)
        await written(first)
        assert await ask(second, "a b", "c") == (expected, 0)
        assert outcomes(second, "reads") == {"hit": 2}
        assert len(second.cache.pooled) == 2, "and keeps it"


async def test_token_states_are_shared_where_a_head_reads_them(server: RedisServer) -> None:
    async with replica(server) as first, replica(server) as second:
        computed = await ask(first, "a b", tasks=("entities",))
        await written(first)
        found = await ask(second, "a b", tasks=("entities",))
    assert found == (computed[0], 0)


async def test_halves_are_kept_as_halves_and_apart_from_what_was_not_rounded(
    server: RedisServer,
) -> None:
    async with (
        replica(server, cache_dtype="fp16") as first,
        replica(server, cache_dtype="fp16") as second,
        replica(server) as unrounded,
    ):
        computed = await ask(first, "a b", tasks=("entities",))
        await written(first)
        assert await ask(second, "a b", tasks=("entities",)) == (computed[0], 0)
        for store in ("pooled", "states"):
            sizes = {getattr(each.cache, store).num_bytes for each in (first, second)}
            assert len(sizes) == 1, store
        assert (await ask(unrounded, "a b", tasks=("entities",)))[1] == 1


async def test_values_expire_under_hashed_names_with_the_prefix(server: RedisServer) -> None:
    async with replica(server, redis_prefix="mine:", redis_ttl_s=100) as runtime:
        await ask(runtime, "a secret text")
        await written(runtime)
        with server.client() as client:
            names = client.keys("*")
            assert sorted(name[:7] for name in names) == [b"mine:p:", b"mine:s:"]
            assert all(len(name) == 7 + 32 for name in names)
            assert all(0 < client.ttl(name) <= 100 for name in names)


async def test_the_golden_check_and_another_encoder_find_nothing(server: RedisServer) -> None:
    async with replica(server) as first:
        await ask(first, "a b")
        await written(first)
    other = parts(TASKS, fingerprint="e" * 64)
    async with running(other, redis_url=server.url) as second:
        assert (await ask(second, "a b"))[1] == 1


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"garbage " * 100, b"\x02" + b"x" * 40])
async def test_garbage_in_its_values_changes_no_answer_and_is_replaced(
    server: RedisServer, expected: list[Answer], garbage: bytes
) -> None:
    async with replica(server) as first:
        await ask(first, "a b", "c")
        await written(first)
        with server.client() as client:
            for name in client.keys("*"):
                client.set(name, garbage)
    async with replica(server) as second:
        assert await ask(second, "a b", "c") == (expected, 2)
        assert outcomes(second, "reads") == {"corrupt": 2}
        await written(second)
    async with replica(server) as third:
        assert await ask(third, "a b", "c") == (expected, 0)


async def test_values_that_were_exchanged_change_no_answer(
    server: RedisServer, expected: list[Answer]
) -> None:
    async with replica(server) as first:
        await ask(first, "a b", "c")
        await written(first)
        with server.client() as client:
            one, other = client.keys("encodeonce:p:*")
            client.rename(one, "kept")
            client.rename(other, one)
            client.rename("kept", other)
    async with replica(server) as second:
        assert await ask(second, "a b", "c") == (expected, 2)


async def test_a_value_of_another_type_is_no_value(server: RedisServer, expected: list[Answer]) -> None:
    async with replica(server) as first:
        await ask(first, "a b", "c")
        await written(first)
        with server.client() as client:
            for name in client.keys("*"):
                client.delete(name)
                client.lpush(name, "x")
    async with replica(server) as second:
        assert await ask(second, "a b", "c") == (expected, 2)


async def test_a_full_server_refuses_values_and_changes_no_answer(
    server: RedisServer, expected: list[Answer]
) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1")
    async with replica(server) as runtime:
        assert await ask(runtime, "a b", "c") == (expected, 2)
        await written(runtime)
        assert outcomes(runtime, "writes") == {"failed": 2}
        assert not runtime.tier.is_gone, "it still answers reads"


async def test_a_dead_server_is_left_alone_after_a_few_trials(tmp_path: Path, expected: list[Answer]) -> None:
    with redis_server(tmp_path) as own:
        async with replica(own) as runtime:
            await ask(runtime, "warm")
            await written(runtime)
            own.kill()
            assert await ask(runtime, "a b", "c") == (expected, 2)
            for number in range(MAX_FAILURES):
                await ask(runtime, f"text {number}")
            assert runtime.tier.is_gone
            assert outcomes(runtime, "reads")["skipped"] >= 1


async def test_a_frozen_server_changes_no_answer_is_left_alone_and_comes_back(
    server: RedisServer, expected: list[Answer]
) -> None:
    async with replica(server, redis_timeout_ms=200) as runtime:
        tier = runtime.tier
        clock_s = 0.0
        tier._breaker._clock = lambda: clock_s
        await ask(runtime, "warm")
        await written(runtime)
        server.freeze()
        try:
            assert await ask(runtime, "a b", "c") == (expected, 2)
            for number in range(MAX_FAILURES):
                await ask(runtime, f"text {number}")
            assert tier.is_gone
            # Each of them was cut off at the bound, or there would be no answer; the others did not wait.
            assert outcomes(runtime, "reads")["failed"] <= 2 * MAX_FAILURES
            assert outcomes(runtime, "reads")["skipped"] >= 1
        finally:
            server.thaw()
        for number in range(100):  # a busy machine may miss the bound now and then
            clock_s += COOLDOWN_S
            await ask(runtime, f"after the thaw {number}")
            if not tier.is_gone:
                break
        assert not tier.is_gone


async def test_requests_at_once_do_not_wait_for_each_others_connections(server: RedisServer) -> None:
    async with replica(server) as first, replica(server) as second:
        texts = [f"text {number}" for number in range(100)]
        await asyncio.gather(*(ask(first, text) for text in texts))
        await written(first)
        rows = [each[1] for each in await asyncio.gather(*(ask(second, text) for text in texts))]
        assert not second.tier.is_gone
        assert sum(rows) == outcomes(second, "reads").get("miss", 0) + outcomes(second, "reads").get(
            "failed", 0
        )


async def test_a_burst_that_gets_no_connection_is_no_sign_of_a_server_that_is_gone(
    server: RedisServer, expected: list[Answer]
) -> None:
    async with replica(server, redis_timeout_ms=20) as runtime, AsyncExitStack() as busy:
        for _ in range(MAX_READS):
            await busy.enter_async_context(runtime.tier._reads)
        answers = await asyncio.gather(*(ask(runtime, "a b", "c", str(number)) for number in range(20)))
        assert all(each[:2] == expected for each, _ in answers)
        assert not runtime.tier.is_gone
        assert outcomes(runtime, "reads").keys() == {"skipped"}


async def test_an_error_of_whatever_type_changes_no_answer_and_leaves_the_writer_writing(
    server: RedisServer, expected: list[Answer]
) -> None:
    async with replica(server) as runtime:
        tier, client = runtime.tier, runtime.tier._client
        tier._client = Broken()
        assert await ask(runtime, "a b", "c") == (expected, 2)
        await asyncio.wait_for(written(runtime), PATIENCE_S)
        assert outcomes(runtime, "reads") == {"failed": 2}
        assert outcomes(runtime, "writes") == {"failed": 2}
        tier._client = client
        await ask(runtime, "d")
        await asyncio.wait_for(written(runtime), PATIENCE_S)
        assert outcomes(runtime, "writes") == {"failed": 2, "written": 1}


class Broken:
    """A client as uvloop makes it, whose transport was closed under it."""

    async def mget(self, _names: list[bytes]) -> list[bytes | None]:
        raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")

    def pipeline(self, *, transaction: bool) -> "Broken":
        assert not transaction
        return self

    def set(self, *_given: bytes, ex: int) -> None:
        assert ex

    async def execute(self, *, raise_on_error: bool) -> list[Exception]:
        assert not raise_on_error
        raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")


async def test_encodings_that_wait_to_be_written_are_bounded_in_bytes(server: RedisServer) -> None:
    states = np.zeros((512, 768), dtype=np.float32)
    async with replica(server) as runtime:
        for number in range(100):
            runtime.tier.keep(b"key %d" % number, Encoding(pooled={}, states=states))
        dropped = outcomes(runtime, "writes")["dropped"]
        assert (100 - dropped) * states.nbytes <= MAX_WAITING_BYTES < (101 - dropped) * states.nbytes
