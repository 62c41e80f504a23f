"""The sequences that wait for the encoder, by priority, in the order of their start tags.

What is served leaves by ``take``. What leaves otherwise (promoted, cancelled, expired) is withdrawn: nobody
owes for what was not computed.
"""

from collections.abc import Iterator
from heapq import merge
from operator import attrgetter

from service.batching import QueueEntry
from service.priorities import FairShare, Priority


class QueueBudget:
    """Tokens that may wait, of all queues that share this."""

    def __init__(self, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self.tokens = 0


class FairQueue:
    """Entries by priority. What may wait at most is for the owner to decide."""

    def __init__(self, budget: QueueBudget) -> None:
        self._budget = budget
        # Dicts as ordered sets: arrival order, and a cancelled entry leaves at once, wherever it stands.
        self._queues: dict[Priority, dict[QueueEntry, None]] = {priority: {} for priority in Priority}
        self._tokens = dict.fromkeys(Priority, 0)
        self._shares = FairShare()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[QueueEntry]:
        """In the order of the start tags."""
        return merge(*self._queues.values(), key=attrgetter("start_tag"))

    @property
    def tokens(self) -> int:
        """That wait."""
        return sum(self._tokens.values())

    @property
    def urgent_tokens(self) -> int:
        """That somebody waits for."""
        return self._tokens[Priority.INTERACTIVE]

    def push(self, entry: QueueEntry, priority: Priority) -> None:
        """Put an entry behind the others of a priority."""
        entry.priority = priority
        entry.start_tag = self._shares.tag(priority, entry.num_tokens)
        self._queues[priority][entry] = None
        self._count_tokens(priority, entry.num_tokens)

    def take(self, batch: list[QueueEntry]) -> None:
        """Let a batch go that is served now: its first entry's tag is the time of the virtual clock."""
        for entry in batch:
            self._remove(entry)
        self._shares.serve(batch[0].start_tag)

    def withdraw(self, entry: QueueEntry) -> None:
        """Take an entry out that is not served, if it still waits."""
        queue = self._queues[entry.priority]
        if entry in queue:
            self._remove(entry)
            if not queue:
                self._shares.forgive(entry.priority)

    def promote(self, entry: QueueEntry) -> None:
        """Somebody waits now for what a job had queued. Nothing changes once it left the queue."""
        if entry in self._queues[Priority.BULK]:
            self.withdraw(entry)
            self.push(entry, Priority.INTERACTIVE)

    def _remove(self, entry: QueueEntry) -> None:
        del self._queues[entry.priority][entry]
        self._count_tokens(entry.priority, -entry.num_tokens)

    def _count_tokens(self, priority: Priority, num_tokens: int) -> None:
        self._tokens[priority] += num_tokens
        self._budget.tokens += num_tokens
