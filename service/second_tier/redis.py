"""The second tier over a Redis (or Valkey) server.

Reading happens within a request, so it is bounded: by a timeout for all of it, and by a circuit breaker. A
server that is slow, gone, full or full of garbage costs a request at most that timeout, and never its answer.
Writing happens behind the requests, from a queue that forgets what it cannot hold.
"""

import asyncio
import hashlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from export.manifest import Pooling
from service.encoding import Encoding
from service.second_tier.breaker import CircuitBreaker
from service.second_tier.tier import TierObserver, TierRead, TierWrite
from service.second_tier.wire import (
    Corrupt,
    Shapes,
    pack_states,
    pack_vectors,
    unpack_states,
    unpack_vectors,
)
from service.tokenization import TokenizedInput

logger = logging.getLogger("bentoml.encodeonce")

MAX_CONNECTIONS = 8
KEYS_PER_CALL = 128
"""Of one MGET or pipeline. A bulk request keeps what came in time."""
MAX_WAITING_WRITES = 4096
"""Sequences that wait to be written."""
WRITE_TIMEOUT_S = 1.0
MAX_FAILURES = 3
COOLDOWN_S = 5.0

FAILURES = (RedisError, OSError, TimeoutError)


class RedisTier:
    """Reads in bounded time, writes behind."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - redis' client is typed differently from release to release
        *,
        prefix: str,
        ttl_s: int,
        timeout_s: float,
        observer: TierObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connects on first use.

        Args:
            client: An asyncio client that gives bytes.
            prefix: Of every key on the server.
            ttl_s: Seconds that a value lives there.
            timeout_s: Most that reading adds to a request.
            observer: Told what becomes of reads and writes.
            clock: Monotonic seconds.
        """
        self._client = client
        self._prefix = prefix.encode()
        self._ttl_s = ttl_s
        self._timeout_s = timeout_s
        self._observer = observer
        self._breaker = CircuitBreaker(max_failures=MAX_FAILURES, cooldown_s=COOLDOWN_S, clock=clock)
        self._waiting: deque[tuple[bytes, Encoding]] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._writer: asyncio.Task[None] | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the server counts as gone."""
        return self._breaker.is_open

    async def find(
        self,
        wanted: Mapping[bytes, TokenizedInput],
        *,
        with_states: Collection[bytes],
        poolings: AbstractSet[Pooling],
        shapes: Shapes,
    ) -> dict[bytes, Encoding]:
        """Those of these sequences that are there."""
        if not self._breaker.allows():
            self._observer.saw_tier_reads(TierRead.SKIPPED, len(wanted))
            return {}
        started_s = time.perf_counter()
        values = await self._read(wanted, with_states)
        found: dict[bytes, Encoding] = {}
        outcomes = Counter({TierRead.FAILED: len(wanted) - len(values)})
        for key, (pooled, states) in values.items():
            outcomes[TierRead.MISS] += 1
            if pooled is None or (states is None and key in with_states):
                continue
            try:
                encoding = _unpack(key, pooled, states, shapes, num_tokens=wanted[key].num_tokens)
            except Corrupt as reason:
                logger.warning("A value of the second tier is passed over: %s", reason)
                outcomes.subtract([TierRead.MISS])
                outcomes[TierRead.CORRUPT] += 1
                continue
            if poolings <= encoding.pooled.keys():
                found[key] = encoding
        outcomes[TierRead.HIT] = len(found)
        outcomes[TierRead.MISS] -= len(found)
        for outcome, count in outcomes.items():
            self._observer.saw_tier_reads(outcome, count)
        self._observer.saw_tier_wait(time.perf_counter() - started_s)
        return found

    def keep(self, key: bytes, encoding: Encoding) -> None:
        """Queue one for the writer."""
        if self._breaker.is_open or len(self._waiting) >= MAX_WAITING_WRITES:
            self._observer.saw_tier_writes(TierWrite.DROPPED, 1)
            return
        self._waiting.append((key, encoding))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), name="second tier")
        self._idle.clear()
        self._wake.set()

    async def flush(self) -> None:
        """Wait until nothing waits to be written."""
        await self._idle.wait()

    async def close(self) -> None:
        """Write no more, and hang up."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self._client.aclose()

    async def _read(
        self, wanted: Mapping[bytes, TokenizedInput], with_states: Collection[bytes]
    ) -> dict[bytes, tuple[bytes | None, bytes | None]]:
        """Pooled vectors and states of as many sequences as the time allows."""
        values: dict[bytes, tuple[bytes | None, bytes | None]] = {}
        keys = iter(wanted)
        try:
            async with asyncio.timeout(self._timeout_s):
                while chunk := list(islice(keys, KEYS_PER_CALL)):
                    stateful = [key for key in chunk if key in with_states]
                    names = [self._pooled_name(key) for key in chunk]
                    names += [self._states_name(key) for key in stateful]
                    found = await self._client.mget(names)
                    states = dict(zip(stateful, found[len(chunk) :], strict=True))
                    values |= {
                        key: (value, states.get(key)) for key, value in zip(chunk, found, strict=False)
                    }
        except FAILURES as error:
            if not values:
                self._failed(error)
                return values
        self._breaker.succeeded()
        return values

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(KEYS_PER_CALL, len(self._waiting))
                await self._write([self._waiting.popleft() for _ in range(count)])
            self._idle.set()

    async def _write(self, entries: list[tuple[bytes, Encoding]]) -> None:
        if not self._breaker.allows():
            self._observer.saw_tier_writes(TierWrite.DROPPED, len(entries))
            return
        pipeline = self._client.pipeline(transaction=False)
        for key, encoding in entries:
            pipeline.set(self._pooled_name(key), pack_vectors(key, encoding.pooled), ex=self._ttl_s)
            if encoding.states is not None:
                pipeline.set(self._states_name(key), pack_states(key, encoding.states), ex=self._ttl_s)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                results = await pipeline.execute(raise_on_error=False)
        except FAILURES as error:
            self._failed(error)
            self._observer.saw_tier_writes(TierWrite.FAILED, len(entries))
            return
        # A full server refuses writes and answers reads: that is no reason to leave it alone.
        refused = [each for each in results if isinstance(each, Exception)]
        is_refused = bool(refused)
        if is_refused:
            logger.warning("The second tier refused %d values: %s", len(refused), refused[0])
        else:
            self._breaker.succeeded()
        outcome = TierWrite.FAILED if is_refused else TierWrite.WRITTEN
        self._observer.saw_tier_writes(outcome, len(entries))

    def _failed(self, error: BaseException) -> None:
        was_open = self._breaker.is_open
        self._breaker.failed()
        if self._breaker.is_open and not was_open:
            logger.warning("The second tier is left alone for %.0f s at a time: %r", COOLDOWN_S, error)

    def _pooled_name(self, key: bytes) -> bytes:
        return self._prefix + b"p:" + hashlib.sha256(key).digest()

    def _states_name(self, key: bytes) -> bytes:
        return self._prefix + b"s:" + hashlib.sha256(key).digest()


def _unpack(key: bytes, pooled: bytes, states: bytes | None, shapes: Shapes, *, num_tokens: int) -> Encoding:
    return Encoding(
        pooled=unpack_vectors(key, pooled, shapes),
        states=None if states is None else unpack_states(key, states, shapes, num_tokens=num_tokens),
    )


def connect(url: str, *, prefix: str, ttl_s: int, timeout_s: float, observer: TierObserver) -> RedisTier:
    """A tier on the server of a ``redis://`` address. Nothing is sent yet.

    Raises:
        ValueError: If it is no such address.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=timeout_s,
        socket_connect_timeout=WRITE_TIMEOUT_S,
        socket_timeout=WRITE_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),  # the breaker decides
    )
    return RedisTier(
        Redis.from_pool(pool), prefix=prefix, ttl_s=ttl_s, timeout_s=timeout_s, observer=observer
    )
