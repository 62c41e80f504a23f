"""The second tier over a Redis (or Valkey) server.

Reading happens within a request, so it is bounded: by a timeout for all of it, and by a circuit breaker. A
server that is slow, gone, full or full of garbage costs a request at most that timeout, and never its answer.
Writing happens behind the requests, from a queue that forgets what it cannot hold.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from export.manifest import Pooling
from service.encoding import Encoding
from service.second_tier.breaker import CircuitBreaker
from service.second_tier.search import Search
from service.second_tier.tier import TierObserver, TierRead, TierWrite
from service.second_tier.wire import Shapes, pack_states, pack_vectors
from service.second_tier.write_behind import Entry, WriteBehind
from service.tokenization import TokenizedInput

logger = logging.getLogger("bentoml.encodeonce")

MAX_READS = 7
"""Connections for reading. One more is the writer's."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Encodings that wait to be written."""
WRITE_TIMEOUT_S = 1.0
MAX_FAILURES = 3
COOLDOWN_S = 5.0


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
        self._reads = asyncio.Semaphore(MAX_READS)
        self._writes = WriteBehind(self._write, max_bytes=MAX_WAITING_BYTES)

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
        search = Search(wanted=wanted, with_states=with_states, poolings=poolings, shapes=shapes)
        await self._carry_out(search)
        for outcome, count in search.outcomes.items():
            self._observer.saw_tier_reads(outcome, count)
        self._observer.saw_tier_wait(time.perf_counter() - started_s)
        return search.found

    def keep(self, key: bytes, encoding: Encoding) -> None:
        """Queue one for the writer."""
        if self._breaker.is_open or not self._writes.put(key, encoding):
            self._observer.saw_tier_writes(TierWrite.DROPPED, 1)

    async def flush(self) -> None:
        """Wait until nothing waits to be written."""
        await self._writes.flush()

    async def close(self) -> None:
        """Write no more, and hang up."""
        await self._writes.close()
        await self._client.aclose()

    async def _carry_out(self, search: Search) -> None:
        """As far as the time allows: half of it for a connection to be free, so that the server has as much.

        A burst of requests so never makes a server count as gone that answers each of them in time.
        """
        started_s = asyncio.get_running_loop().time()
        is_asked = False
        try:
            async with asyncio.timeout_at(started_s + self._timeout_s / 2) as limit, self._reads:
                limit.reschedule(started_s + self._timeout_s)
                is_asked = True
                for keys in search.calls():
                    await self._read(search, keys)
        except Exception as error:  # whatever the client's libraries raise, a request goes on without
            is_answered = bool(search.outcomes)
            search.end(TierRead.FAILED if is_asked else TierRead.SKIPPED)
            if is_asked and not is_answered:
                self._failed(error)
            if not is_answered:
                return
        self._breaker.succeeded()

    async def _read(self, search: Search, keys: Sequence[bytes]) -> None:
        stateful = [key for key in keys if key in search.with_states]
        names = [self._pooled_name(key) for key in keys] + [self._states_name(key) for key in stateful]
        found = await self._client.mget(names)
        states = dict(zip(stateful, found[len(keys) :], strict=True))
        for key, pooled in zip(keys, found, strict=False):
            search.saw(key, pooled, states.get(key))

    async def _write(self, entries: Sequence[Entry]) -> None:
        if not self._breaker.allows():
            self._observer.saw_tier_writes(TierWrite.DROPPED, len(entries))
            return
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                results = await self._pipeline(entries).execute(raise_on_error=False)
        except Exception as error:  # whatever the client's libraries raise, the writer goes on
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

    def _pipeline(self, entries: Sequence[Entry]) -> Any:  # noqa: ANN401 - as the client's
        pipeline = self._client.pipeline(transaction=False)
        for key, encoding in entries:
            pipeline.set(self._pooled_name(key), pack_vectors(key, encoding.pooled), ex=self._ttl_s)
            if encoding.states is not None:
                pipeline.set(self._states_name(key), pack_states(key, encoding.states), ex=self._ttl_s)
        return pipeline

    def _failed(self, error: BaseException) -> None:
        was_open = self._breaker.is_open
        self._breaker.failed()
        if self._breaker.is_open and not was_open:
            logger.warning("The second tier is left alone for %.0f s at a time: %r", COOLDOWN_S, error)

    def _pooled_name(self, key: bytes) -> bytes:
        return self._prefix + b"p:" + hashlib.sha256(key).digest()

    def _states_name(self, key: bytes) -> bytes:
        return self._prefix + b"s:" + hashlib.sha256(key).digest()


def connect(url: str, *, prefix: str, ttl_s: int, timeout_s: float, observer: TierObserver) -> RedisTier:
    """A tier on the server of a ``redis://`` address. Nothing is sent yet.

    Raises:
        ValueError: If it is no such address.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_READS + 1,
        timeout=timeout_s,
        socket_connect_timeout=WRITE_TIMEOUT_S,
        # Reads and writes have bounds of their own. The client's is an ``asyncio.wait_for``, which in Python
        # 3.11 swallows a cancellation now and then, and such a bound or the tier's end with it.
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),  # the breaker decides
    )
    return RedisTier(
        Redis.from_pool(pool), prefix=prefix, ttl_s=ttl_s, timeout_s=timeout_s, observer=observer
    )
