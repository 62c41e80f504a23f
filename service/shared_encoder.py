"""The encoder as the tasks see it: sequences in, encodings out, each text computed once.

key ─▶ cache ── hit ─────────────────────────────────────┐
         └ miss ─▶ second tier, if there is one ── hit ──┤
                      └ miss ─▶ in flight? ── join ──────┤
                                   └ no ─▶ queue ─▶ … ───┴▶ encodings
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from export.manifest import Pooling
from service.batcher import Batcher
from service.encoder_cache import EncoderCache, sequence_key, tenant_namespace
from service.encoding import Encoding
from service.errors import DeadlineExceeded
from service.priorities import Priority, usual_priority
from service.second_tier.tier import SecondTier
from service.second_tier.wire import Shapes
from service.single_flight import Flight, SingleFlight
from service.tokenization import TokenizedInput


class Lookup(StrEnum):
    """How a sequence was answered."""

    HIT = "hit"
    MISS = "miss"
    """The encoder had to compute it for this request."""
    COALESCED = "coalesced"
    """Somebody else's row, already on its way; also a repeated sequence of the same request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """The answer to one call."""

    encodings: list[Encoding]
    """In the order of the sequences."""
    lookups: list[Lookup]
    """In the order of the sequences."""
    queue_s: float
    """Longest wait of one of the sequences for its batch, from the call on."""
    encode_s: float
    """Longest of the batches that this call waited for."""


class SharedEncoder:
    """Cache, single flight and queue behind one call."""

    def __init__(
        self,
        batcher: Batcher,
        cache: EncoderCache,
        *,
        namespace: bytes,
        poolings: Iterable[Pooling],
        shapes: Shapes,
        clock: Callable[[], float],
    ) -> None:
        self._batcher = batcher
        self._cache = cache
        self._flights = SingleFlight()
        self._namespace = namespace
        self._poolings = frozenset(poolings)
        self._shapes = shapes
        self._clock = clock
        self._tier: SecondTier | None = None

    def share(self, tier: SecondTier) -> None:
        """Share encodings with other replicas from now on: this encoder has shown that its own are right."""
        self._tier = tier

    def store(self, key: bytes, encoding: Encoding) -> None:
        """Keep what was computed."""
        self._cache.put(key, encoding)
        if self._tier is not None:
            self._tier.keep(key, encoding)

    async def encode(
        self,
        sequences: Sequence[TokenizedInput],
        *,
        with_states: Collection[int] = (),
        tenant: str = "",
        deadline_s: float,
        priority: Priority | None = None,
    ) -> Encoded:
        """Encode, or find, every sequence.

        Args:
            sequences: In any number and mixture.
            with_states: Places of those whose token states the caller reads. For the others an entry of the
                cache will do whose token states were pushed out.
            tenant: Whose cache to use; tenants see nothing of each other's.
            deadline_s: When to give up, on the clock this was built with.
            priority: Share of the encoder; None if the size of what is missing should tell.

        Raises:
            Overloaded: If the new ones do not fit the queue. Nothing was queued.
            RequestTooLarge: If they never would.
            DeadlineExceeded: If the time is over.
            InferenceFailed: If the encoder fails on one of them.
        """
        called_s = self._clock()
        namespace = tenant_namespace(self._namespace, tenant)
        keys = [sequence_key(namespace, sequence) for sequence in sequences]
        found: dict[bytes, Encoding] = {}
        # By key: equal sequences of one request share what is found.
        keys_with_states = {keys[place] for place in with_states}
        lookups = [self._look_up(key, found, with_states=key in keys_with_states) for key in keys]
        missing = {
            key: each
            for key, each, how in zip(keys, sequences, lookups, strict=True)
            if how is not Lookup.HIT
        }
        if missing and self._tier is not None:
            found |= await self._find_shared(self._tier, missing, keys_with_states)
            lookups = [Lookup.HIT if key in found else Lookup.COALESCED for key in keys]
            missing = {key: each for key, each in missing.items() if key not in found}
        flights: dict[bytes, Flight] = {}
        if missing:
            flights, is_new = self._board(missing, deadline_s, priority)
            lookups = _count_rows(keys, lookups, is_new)
            found |= await self._wait(flights, deadline_s)
        return Encoded(
            encodings=[found[key] for key in keys],
            lookups=lookups,
            queue_s=max(
                (max(0.0, each.entry.started_s - called_s) for each in flights.values()), default=0.0
            ),
            encode_s=max(
                (each.entry.finished_s - each.entry.started_s for each in flights.values()), default=0.0
            ),
        )

    def forget_flights(self) -> None:
        """Let nobody join what is on its way. Those who wait for it still get it."""
        self._flights.clear()

    def _look_up(self, key: bytes, found: dict[bytes, Encoding], *, with_states: bool) -> Lookup:
        cached = self._cache.get(key, poolings=self._poolings, with_states=with_states)
        if cached is None:
            return Lookup.COALESCED
        found[key] = cached
        return Lookup.HIT

    async def _find_shared(
        self, tier: SecondTier, missing: dict[bytes, TokenizedInput], with_states: Collection[bytes]
    ) -> dict[bytes, Encoding]:
        """What the second tier has, or the cache has got meanwhile."""
        wanted = {key: each for key, each in missing.items() if self._flights.find(key) is None}
        if not wanted:
            return {}
        shared = await tier.find(
            wanted,
            with_states={key for key in wanted if key in with_states},
            poolings=self._poolings,
            shapes=self._shapes,
        )
        for key, encoding in shared.items():
            self._cache.put(key, encoding)
        found = dict(shared)
        for key in missing.keys() - shared.keys():
            self._look_up(key, found, with_states=key in with_states)
        return found

    def _board(
        self, missing: dict[bytes, TokenizedInput], deadline_s: float, priority: Priority | None
    ) -> tuple[dict[bytes, Flight], set[bytes]]:
        """Join the flights there are, and queue the rest: all of it or nothing."""
        flights = {key: flight for key in missing if (flight := self._flights.find(key)) is not None}
        new = [(key, sequence) for key, sequence in missing.items() if key not in flights]
        if priority is None:
            priority = usual_priority(sum(each.num_tokens for each in missing.values()))
        entries = self._batcher.submit(new, deadline_s=deadline_s, priority=priority)
        # Not before: a request that is refused changes nothing.
        if priority is Priority.INTERACTIVE:
            for flight in flights.values():
                self._batcher.promote(flight.entry)
        flights |= {entry.key: self._flights.open(entry) for entry in entries}
        for flight in flights.values():
            flight.join(deadline_s=deadline_s)
        return flights, {key for key, _ in new}

    async def _wait(self, flights: dict[bytes, Flight], deadline_s: float) -> dict[bytes, Encoding]:
        futures = [flight.future for flight in flights.values()]
        try:
            # Leaving this wait, by timeout or cancellation, does not cancel the futures: others may wait
            # for them.
            _, pending = await asyncio.wait(
                futures, timeout=max(0.0, deadline_s - self._clock()), return_when=asyncio.FIRST_EXCEPTION
            )
            for future in futures:
                if future.done() and (error := future.exception()) is not None:
                    raise error
            if pending:
                raise DeadlineExceeded("The deadline passed while the request waited for the encoder.")
            return {key: flight.future.result() for key, flight in flights.items()}
        finally:
            for flight in flights.values():
                flight.leave()


def _count_rows(keys: Sequence[bytes], lookups: Sequence[Lookup], is_new: set[bytes]) -> list[Lookup]:
    """Charge each new row to the first sequence of the request that needs it."""
    uncharged = set(is_new)
    counted = []
    for key, lookup in zip(keys, lookups, strict=True):
        counted.append(Lookup.MISS if key in uncharged else lookup)
        uncharged.discard(key)
    return counted
