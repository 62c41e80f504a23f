"""How the cores share the encoder's work: together on one batch, or each lane on a batch of its own.

Threads that work together wait for each other after every operator. Whatever takes a core from one of them
for a moment, the event loop above all, stops them all. Lanes never meet, so nothing of that is lost where
texts queue; but a text that comes alone is answered soonest by all threads together.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Crew(StrEnum):
    """Which threads compute a batch."""

    ALL = "all"
    """All of them; no other batch runs meanwhile."""
    LANE = "lane"
    """Those of one lane, beside the others' batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A division of the threads.

    Attributes:
        lanes: Batches that are computed at the same time.
        threads: That work together on each.
    """

    lanes: int
    threads: int

    @property
    def all_threads(self) -> int:
        """Threads of all lanes together."""
        return self.lanes * self.threads

    def __str__(self) -> str:
        return f"{self.lanes} x {self.threads}"


def candidate_ways(threads: int) -> tuple[Way, ...]:
    """Ways to divide so many threads, from all together to each on its own."""
    counts = [count for count in (threads, 2, 1) if threads % count == 0]
    return tuple(Way(lanes=threads // count, threads=count) for count in dict.fromkeys(counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The next batch to be handed over, before it is known what is in it."""

    crew: Crew
    max_tokens: int
    """What it may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The queue, seen from here."""

    sequences: int
    tokens: int
    urgent_tokens: int = 0
    """Of those that somebody waits for."""


ALONE_TOKENS = 64
"""Tokens up to which everything that waits is computed by all threads together.

Over one short row, two threads on two cores take 0.7 of the time of one; from a few texts on they gain no
more than two lanes do (2026-11, ``python -m loadtests.batch_shapes``).
"""


LANE_TOKENS = 64
"""Tokens below which a lane's batch costs more a token: it takes as many, if they are there."""


def next_dispatch(
    waiting: Waiting, running: Collection[Crew], *, lanes: int, max_tokens: int
) -> Dispatch | None:
    """What to hand over now, if anything. Pure.

    With one lane, a full batch is handed over behind the running one, so that the encoder does not wait for
    the event loop; a part-filled one is not: it would shut out the requests that are about to arrive, and go
    no sooner. With several, the others go on meanwhile, and nothing is handed over early.

    Args:
        waiting: What there is to compute.
        running: The crews that were handed a batch and have not given it back.
        lanes: That there are.
        max_tokens: Of one batch.
    """
    if not waiting.sequences:
        return None
    if lanes == 1:
        is_due = not running or (len(running) == 1 and waiting.tokens >= max_tokens)
        return Dispatch(crew=Crew.ALL, max_tokens=max_tokens) if is_due else None
    free = 0 if Crew.ALL in running else lanes - len(running)
    if not free:
        return None
    if not running and (waiting.sequences == 1 or waiting.tokens <= ALONE_TOKENS):
        return Dispatch(crew=Crew.ALL, max_tokens=max_tokens)
    # Half of its share: whoever comes next, a long text above all, waits half as long for a lane. A job's
    # texts fill no batch that somebody waits for.
    half_share = -(-(waiting.urgent_tokens or waiting.tokens) // (2 * free))
    return Dispatch(crew=Crew.LANE, max_tokens=min(max_tokens, max(LANE_TOKENS, half_share)))
