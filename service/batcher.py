"""The one queue in front of the encoder, and what empties it.

The event loop owns queue and futures; the encoder runs in a thread for each lane. What goes next, and to
whom, is ``service.lanes``' decision; which entries, ``service.batching``'s.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from service.batching import BatchingPolicy, QueueEntry, select_batch
from service.cost import Cost
from service.encoding import Encoding
from service.errors import (
    DeadlineExceeded,
    InferenceFailed,
    NotReady,
    Overloaded,
    RequestTooLarge,
    ServiceError,
)
from service.fair_queue import FairQueue, QueueBudget
from service.lanes import Crew, Dispatch, Waiting, next_dispatch
from service.priorities import Priority
from service.tokenization import TokenizedInput

logger = logging.getLogger("bentoml.encodeonce")


Encode: TypeAlias = Callable[[Sequence[TokenizedInput], Crew], list[Encoding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Computed:
    """What the encoder thread hands back to the loop."""

    entries: list[QueueEntry]
    results: list[Encoding | ServiceError]


class Batcher:
    """Bounded queue → batches → futures."""

    def __init__(
        self,
        encode: Encode,
        *,
        policy: BatchingPolicy,
        cost: Cost,
        row_len: int,
        lanes: int = 1,
        budget: QueueBudget | None = None,
        on_encoded: Callable[[QueueEntry, Encoding], None] = lambda _entry, _encoding: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up a stopped batcher.

        Args:
            encode: Encodes a batch, in one of the batcher's threads.
            policy: The limits.
            cost: Predicts seconds, for deadlines and ``Retry-After``.
            row_len: Usual row length, for ``Retry-After``.
            lanes: Batches that may be encoded at the same time.
            budget: Of the tokens that wait, where other queues share it; else the policy's is this queue's.
            on_encoded: Told every result on the event loop, also one that nobody waits for any more.
            clock: Monotonic seconds.
        """
        self._encode = encode
        self._policy = policy
        self._cost = cost
        self._row_len = row_len
        self._budget = budget or QueueBudget(policy.max_queue_tokens)
        self._on_encoded = on_encoded
        self._clock = clock
        self._queue = FairQueue(self._budget)
        self._lanes = lanes
        self._running: list[Crew] = []
        self.failed_batches = 0
        """In a row, up to the last one that was computed."""
        self._is_woken = False
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="encode")
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def queue_len(self) -> int:
        """Sequences that wait."""
        return len(self._queue)

    @property
    def queue_tokens(self) -> int:
        """Tokens that wait."""
        return self._queue.tokens

    def start(self) -> None:
        """Begin to empty the queue."""
        self._loop = asyncio.get_running_loop()
        self._wake()

    async def close(self) -> None:
        """Refuse what is not being computed yet and whoever comes later; let a running batch end."""
        self._is_closed = True
        for entry in list(self._queue):
            self._queue.withdraw(entry)
            _resolve(entry, _closing())
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def submit(
        self,
        keyed: Sequence[tuple[bytes, TokenizedInput]],
        *,
        deadline_s: float,
        priority: Priority = Priority.INTERACTIVE,
    ) -> list[QueueEntry]:
        """Queue the sequences of one request: all of them, or none.

        Args:
            keyed: Sequences with their cache keys.
            deadline_s: When the caller gives up, on the batcher's clock.
            priority: Their share of the encoder.

        Raises:
            NotReady: If this is closed.
            RequestTooLarge: If they could never fit the queue.
            Overloaded: If they do not fit it now.
        """
        if self._is_closed:
            raise _closing()
        self._admit(sum(sequence.num_tokens for _, sequence in keyed))
        now_s = self._clock()
        loop = asyncio.get_running_loop()
        entries = []
        for key, sequence in keyed:
            entry = QueueEntry(
                sequence=sequence,
                key=key,
                arrived_s=now_s,
                deadline_s=deadline_s,
                future=loop.create_future(),
            )
            entry.future.add_done_callback(partial(self._leave, entry))
            self._queue.push(entry, priority)
            entries.append(entry)
        self._wake()
        return entries

    def promote(self, entry: QueueEntry) -> None:
        """Somebody waits now for what a job had queued. Nothing changes once it left the queue."""
        self._queue.promote(entry)

    def _admit(self, num_tokens: int) -> None:
        limit, waiting = self._budget.max_tokens, self._budget.tokens
        if num_tokens > limit:
            raise RequestTooLarge(
                f"The request has {num_tokens} tokens to encode; at most {limit} may wait. Split it."
            )
        excess = waiting + num_tokens - limit
        if excess > 0:
            wait_s = self._cost.backlog_s(
                excess, max_batch_tokens=self._policy.max_batch_tokens, row_len=self._row_len
            )
            raise Overloaded(
                f"{waiting} of {limit} tokens wait already; the request adds {num_tokens}.",
                retry_after_s=wait_s,
            )

    def _leave(self, entry: QueueEntry, _future: asyncio.Future[Encoding]) -> None:
        self._queue.withdraw(entry)

    def _wake(self) -> None:
        """Hand over what is due, at the end of this turn of the loop: whoever comes within it may join."""
        if self._loop is not None and not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._hand_over, self._loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_woken = False
        while (dispatch := self._next_dispatch()) is not None:
            self._dispatch(dispatch, loop)

    def _next_dispatch(self) -> Dispatch | None:
        waiting = Waiting(
            sequences=self.queue_len,
            tokens=self.queue_tokens,
            urgent_tokens=self._queue.urgent_tokens,
        )
        return next_dispatch(
            waiting, self._running, lanes=self._lanes, max_tokens=self._policy.max_batch_tokens
        )

    def _dispatch(self, dispatch: Dispatch, loop: asyncio.AbstractEventLoop) -> None:
        """Take the next batch out of the queue. The first entry always leaves, so this makes progress."""
        policy = replace(self._policy, max_batch_tokens=dispatch.max_tokens)
        selection = select_batch(self._queue, self._clock(), policy, self._cost)
        if selection.batch:
            self._queue.take(selection.batch)
        for entry in (*selection.cancelled, *selection.expired):
            self._queue.withdraw(entry)
        for entry in selection.expired:
            _resolve(entry, _too_late())
        if batch := selection.batch:
            self._running.append(dispatch.crew)
            computing = self._threads.submit(self._compute, batch, dispatch.crew)
            # Straight to the loop: a future of the loop's own would be one more turn of it.
            computing.add_done_callback(
                lambda done: loop.call_soon_threadsafe(self._deliver, batch, dispatch.crew, done)
            )

    def _compute(self, batch: list[QueueEntry], crew: Crew) -> _Computed:
        """In a lane's thread. Whoever left or came too late since the selection is not computed."""
        started_s = self._clock()
        waiting = [entry for entry in batch if not entry.future.cancelled()]
        entries = [entry for entry in waiting if entry.deadline_s > started_s]
        late = [entry for entry in waiting if entry.deadline_s <= started_s]
        results = self._encode_all(entries, crew) if entries else []
        finished_s = self._clock()
        for entry in entries:
            entry.started_s, entry.finished_s = started_s, finished_s
        return _Computed(entries=[*entries, *late], results=[*results, *(_too_late() for _ in late)])

    def _encode_all(self, entries: list[QueueEntry], crew: Crew) -> list[Encoding | ServiceError]:
        """One batch; if it fails, each entry once alone, so that only the bad one fails."""
        try:
            return list(self._encode([entry.sequence for entry in entries], crew))
        except Exception as error:
            if len(entries) == 1:
                logger.exception("The encoder failed on a sequence of %d tokens", entries[0].num_tokens)
                failure = InferenceFailed("The encoder failed on an input of this request.")
                failure.__cause__ = error
                return [failure]
            logger.warning("A batch of %d sequences failed (%s); running each alone", len(entries), error)
            return [result for entry in entries for result in self._encode_all([entry], crew)]

    def _deliver(self, batch: list[QueueEntry], crew: Crew, done: Future[_Computed]) -> None:
        self._running.remove(crew)
        self._wake()
        if done.cancelled():  # by ``close``, before a thread took it up
            for entry in batch:
                _resolve(entry, _closing())
            return
        computed = done.result()
        self._judge(computed.results)
        for entry, result in zip(computed.entries, computed.results, strict=True):
            if not isinstance(result, ServiceError):
                self._on_encoded(entry, result)
            _resolve(entry, result)

    def _judge(self, results: Sequence[Encoding | ServiceError]) -> None:
        """Count the batches in a row that gave nothing but failures: one bad input is no bad encoder."""
        if any(not isinstance(result, ServiceError) for result in results):
            self.failed_batches = 0
        elif any(isinstance(result, InferenceFailed) for result in results):
            self.failed_batches += 1


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("The deadline passed while the request waited for the encoder.")


def _closing() -> NotReady:
    return NotReady("The service is shutting down.")


def _resolve(entry: QueueEntry, result: Encoding | ServiceError) -> None:
    if entry.future.done():
        return
    if isinstance(result, ServiceError):
        entry.future.set_exception(result)
    else:
        entry.future.set_result(result)
