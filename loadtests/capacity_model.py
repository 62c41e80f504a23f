"""From cost and hit rate to replicas."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from service.cost import Cost

MANY_TOKENS = 1_000_000
MOST_REPLICAS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaCost:
    """What one replica's time goes to."""

    request_s: float
    """Of every request with one text, found or not: HTTP, tokens, heads."""
    token_s: float
    """Of a token that the encoder computes, in full batches."""
    tokens: float
    """Of a text."""

    def busy(self, rate_per_s: float, hit_rate: float) -> float:
        """Replicas that would be busy all the time with so many texts a second."""
        return rate_per_s * (self.request_s + (1 - hit_rate) * self.tokens * self.token_s)

    def texts_per_s(self, hit_rate: float) -> float:
        """The most that one replica answers."""
        return 1 / self.busy(1.0, hit_rate)


def token_s(cost: Cost, *, max_batch_tokens: int, row_len: int) -> float:
    """Seconds of a token in full batches, by the service's own cost model."""
    backlog_s = cost.backlog_s(MANY_TOKENS, max_batch_tokens=max_batch_tokens, row_len=row_len)
    return backlog_s / MANY_TOKENS


def replicas(
    cost: ReplicaCost, rate_per_s: float, hit_rate: Callable[[int], float], *, utilisation: float
) -> int:
    """The fewest replicas none of which is busier than it should be.

    Args:
        cost: Of one replica.
        rate_per_s: Texts of all together.
        hit_rate: By the number of replicas, of which more never find less. With caches of their own it is the
            same for any number: each sees the same mixture of texts, more rarely. Where a text always meets
            the same replica, their caches add up.
        utilisation: Share of the time that a replica may be busy.

    Raises:
        ValueError: If ``MOST_REPLICAS`` are not enough.
    """

    def are_enough(count: int) -> bool:
        return cost.busy(rate_per_s, hit_rate(count)) <= count * utilisation

    enough = 1
    while not are_enough(enough):
        if enough >= MOST_REPLICAS:
            raise ValueError(f"{rate_per_s} texts a second need more than {MOST_REPLICAS} replicas.")
        enough = min(2 * enough, MOST_REPLICAS)
    # A simulated hit rate takes seconds: few numbers are tried.
    candidates = range(enough // 2 + 1, enough + 1)
    return candidates[bisect_left(candidates, True, key=are_enough)]
