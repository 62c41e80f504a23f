"""Which waiting sequences form the next encoder batch. Pure: no clock, no loop, no lock.

In the order of the start tags (``service.priorities``; first in, first out within a priority), up to a token
budget. What cannot be in time gives way to what can; where nothing can, it is computed after all: the
prediction may be wrong, and only batches correct it. Three rules bound every wait:

1. the first entry always goes, also when it alone exceeds the budget: nothing is set aside for good;
2. an entry that does not fit the rest of the budget is passed over, so that shorter ones may fill it, but
   only while it has waited less than ``max_wait_s``: from then on it closes the batch, and nothing
   overtakes it;
3. fillers only take room that the batch had left, so a passed-over entry loses no more than the end of that
batch.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from service.cost import Cost
from service.encoding import Encoding
from service.priorities import Priority
from service.tokenization import TokenizedInput

LOOKAHEAD = 256
"""Entries inspected for one batch. Keeps the choice short in a queue of thousands."""


@dataclass(slots=True, kw_only=True, eq=False)
class QueueEntry:
    """One sequence that waits for the encoder. All times are on the batcher's clock."""

    sequence: TokenizedInput
    key: bytes
    """Identity of the sequence, for whoever stores the result."""
    arrived_s: float
    deadline_s: float
    """When its last waiter gives up. Moves back when another one with more time joins."""
    priority: Priority = Priority.INTERACTIVE
    start_tag: float = 0.0
    """Its place among the priorities."""
    future: asyncio.Future[Encoding] = field(repr=False)
    """Cancelled once nobody waits for it."""
    started_s: float = 0.0
    """When its batch began to compute, once it has."""
    finished_s: float = 0.0

    @property
    def num_tokens(self) -> int:
        """What it takes of the budget."""
        return self.sequence.num_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingPolicy:
    """The limits of queue and batch."""

    max_batch_tokens: int
    max_queue_tokens: int
    max_wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What becomes of the queue's head. Entries in none of the lists keep waiting."""

    batch: list[QueueEntry]
    expired: list[QueueEntry]
    """Their deadline has passed; or it will have before even a batch of their own would be done, and others
    are computed in their place."""
    cancelled: list[QueueEntry]
    """Nobody waits for them."""


def select_batch(queue: Iterable[QueueEntry], now_s: float, policy: BatchingPolicy, cost: Cost) -> Selection:
    """Choose the next batch.

    Args:
        queue: Waiting entries, in the order of their start tags.
        now_s: The time, on the entries' clock.
        policy: Token budget and patience.
        cost: Predicts which entries cannot be in time any more.
    """
    cancelled: list[QueueEntry] = []
    expired: list[QueueEntry] = []
    hopeless: list[QueueEntry] = []

    def in_time() -> Iterator[QueueEntry]:
        for entry in islice(queue, LOOKAHEAD):
            if entry.future.done():
                cancelled.append(entry)
            elif now_s >= entry.deadline_s:
                expired.append(entry)
            elif now_s + cost.sequence_s(entry.num_tokens) > entry.deadline_s:
                hopeless.append(entry)
            else:
                yield entry

    if batch := _fill(in_time(), now_s, policy):
        expired += hopeless
    else:
        batch = _fill(hopeless, now_s, policy)
    return Selection(batch=batch, expired=expired, cancelled=cancelled)


def _fill(entries: Iterable[QueueEntry], now_s: float, policy: BatchingPolicy) -> list[QueueEntry]:
    """A batch by the three rules. Looks no further than it must."""
    batch: list[QueueEntry] = []
    free = policy.max_batch_tokens
    for entry in entries:
        if entry.num_tokens <= free or not batch:
            batch.append(entry)
            free -= entry.num_tokens
        elif now_s - entry.arrived_s >= policy.max_wait_s:
            break
        if free <= 0:
            break
    return batch
