"""The encoders in use: one session, one queue and one single flight for each, shared by its models."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from service.batcher import Batcher
from service.batching import BatchingPolicy
from service.bundle import Bundle
from service.cost import CostSample, RefittedCost
from service.encoder_cache import EncoderCache, encoder_namespace
from service.encoding import AS_COMPUTED, BatchSize, PackedEncoder, Rounding
from service.errors import NotReady, ServiceError
from service.fair_queue import QueueBudget
from service.kinds.base import Kind
from service.lanes import Crew
from service.models.loading import EncoderParts
from service.second_tier.tier import SecondTier
from service.second_tier.wire import Shapes
from service.shared_encoder import SharedEncoder
from service.tokenization import TokenizedInput

SUSPICIOUS_BATCHES = 3
"""Batches in a row that gave nothing, from which on readiness asks the encoder itself."""

PROBE = "ready"
PROBE_TIMEOUT_S = 2.0


class EncoderHost:
    """A running encoder, and who uses it."""

    def __init__(
        self,
        parts: EncoderParts,
        namespace: bytes,
        *,
        policy: BatchingPolicy,
        budget: QueueBudget,
        row_len: int,
        cache: EncoderCache,
        rounding: Rounding,
        on_batch: Callable[[BatchSize], None],
    ) -> None:
        self.parts = parts
        self.namespace = namespace
        self.users = 0
        self._policy = policy
        self._row_len = row_len
        self._forms_with_states: Counter[bool] = Counter()
        """Whether pairs, single texts or both must keep their token states, and for how many kinds."""
        self.rounding = rounding
        self.cost = RefittedCost(parts.cost)
        self._report_batch = on_batch
        packed = PackedEncoder(
            parts.session,
            parts.entry,
            needs_states=self._needs_states,
            rounding=rounding,
            on_batch=self._saw_batch,
        )
        self.batcher = Batcher(
            packed.encode,
            policy=policy,
            budget=budget,
            cost=self.cost,
            row_len=row_len,
            lanes=parts.session.lanes,
            on_encoded=lambda entry, encoding: self.shared.store(entry.key, encoding),
        )
        self.shared = SharedEncoder(
            self.batcher,
            cache,
            namespace=namespace,
            poolings=parts.entry.poolings,
            shapes=Shapes.of(parts.entry, dtype=rounding.dtype),
            clock=time.monotonic,
        )

    def suits(self, bundle: Bundle) -> bool:
        """Whether a bundle's heads can read from this encoder as from their own."""
        namespace = encoder_namespace(bundle.manifest, bundle.precision, self.rounding)
        poolings = set(bundle.manifest.encoder.poolings)
        return self.namespace == namespace and poolings <= set(self.parts.entry.poolings)

    def describe(self) -> str:
        """How fast it is, in words."""
        policy, cost = self._policy, self.cost
        full_s = cost.backlog_s(
            policy.max_batch_tokens, max_batch_tokens=policy.max_batch_tokens, row_len=self._row_len
        )
        return f"a short text takes {1e3 * cost.sequence_s(16):.1f} ms, a full batch {1e3 * full_s:.0f} ms"

    def backlog_s(self) -> float:
        """Seconds until what waits now is worked off."""
        return self.cost.backlog_s(
            self.batcher.queue_tokens,
            max_batch_tokens=self._policy.max_batch_tokens,
            row_len=self._row_len,
        )

    async def check(self) -> None:
        """Encode something that is known to be good, if nothing was computed for several batches.

        An encoder that fails on everything (out of memory, a lost device) is so told from inputs that no
        encoder could take, and one that has recovered comes back without traffic.

        Raises:
            NotReady: If that fails, too.
        """
        if self.batcher.failed_batches < SUSPICIOUS_BATCHES:
            return
        ((window,),) = await self.parts.tokenizer.tokenize([PROBE])
        deadline_s = time.monotonic() + PROBE_TIMEOUT_S
        try:
            # No sequence has the bare namespace for its key.
            (entry,) = self.batcher.submit([(self.namespace, window)], deadline_s=deadline_s)
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await entry.future
        except (ServiceError, TimeoutError) as error:
            failed = self.batcher.failed_batches
            raise NotReady(f"The encoder failed on its last {failed} batches.") from error

    def attach(self, kinds: Iterable[Kind]) -> None:
        """One more model, whose kinds these are, reads from this encoder."""
        self.users += 1
        before = set(self._forms_with_states)
        self._forms_with_states += _forms_with_states(kinds)
        if set(self._forms_with_states) != before:
            # What is on its way may be computed without the states that the newcomer will want.
            self.shared.forget_flights()

    def detach(self, kinds: Iterable[Kind]) -> None:
        """That model is gone."""
        self.users -= 1
        self._forms_with_states -= _forms_with_states(kinds)

    async def close(self) -> None:
        """Stop the threads; what still waits is refused."""
        await self.batcher.close()
        self.parts.tokenizer.close()

    def _saw_batch(self, size: BatchSize) -> None:
        lanes = self.parts.session.lanes if size.crew is Crew.LANE else 1
        seconds = max(size.seconds / lanes, 1e-9)
        self.cost.saw(CostSample(rows=size.rows, row_len=size.row_len, seconds=seconds))
        self._report_batch(size)

    def _needs_states(self, sequence: TokenizedInput) -> bool:
        return sequence.is_pair in self._forms_with_states


def _forms_with_states(kinds: Iterable[Kind]) -> Counter[bool]:
    return Counter(kind.reader.reads_pairs for kind in kinds if kind.reads_states)


class EncoderHosts:
    """All of them. Their cache, and the bound of their queues, is one."""

    def __init__(
        self,
        *,
        policy: BatchingPolicy,
        row_len: int,
        cache: EncoderCache,
        tier: SecondTier | None = None,
        rounding: Rounding = AS_COMPUTED,
        on_batch: Callable[[BatchSize], None] = lambda _: None,
    ) -> None:
        self._policy = policy
        self._tier = tier
        self._row_len = row_len
        self._cache = cache
        self._rounding = rounding
        self._on_batch = on_batch
        self._budget = QueueBudget(policy.max_queue_tokens)
        self._hosts: list[EncoderHost] = []

    def __iter__(self) -> Iterator[EncoderHost]:
        return iter(self._hosts)

    def find(self, bundle: Bundle) -> EncoderHost | None:
        """A running encoder that suits a bundle."""
        return next((host for host in self._hosts if host.suits(bundle)), None)

    def start(self, parts: EncoderParts, bundle: Bundle) -> EncoderHost:
        """Run the encoder that was loaded from a bundle."""
        host = EncoderHost(
            parts,
            encoder_namespace(bundle.manifest, bundle.precision, self._rounding),
            policy=self._policy,
            budget=self._budget,
            row_len=self._row_len,
            cache=self._cache,
            rounding=self._rounding,
            on_batch=self._on_batch,
        )
        host.batcher.start()
        self._hosts.append(host)
        return host

    def trust(self, host: EncoderHost) -> None:
        """An encoder has answered golden examples: let it share with other replicas."""
        if self._tier is not None:
            host.shared.share(self._tier)

    async def stop_unused(self) -> None:
        """Close every encoder that no model reads from any more."""
        unused = [host for host in self._hosts if not host.users]
        self._hosts = [host for host in self._hosts if host.users]
        for host in unused:
            await host.close()
