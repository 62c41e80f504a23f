"""Two sides measured in turn, and the ratio of their medians."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Repeated measurements of one quantity."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The smallest one."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest one."""
        return max(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Side A ÷ side B, from pairs of runs next to each other in time."""

    a: Spread
    b: Spread

    @property
    def of_medians(self) -> float:
        """The result: less moved by a disturbed run than the mean of the pairs' ratios."""
        return self.a.median / self.b.median

    @property
    def of_pairs(self) -> Spread:
        """Each pair's own ratio: how far the result can be trusted."""
        return Spread(values=tuple(a / b for a, b in zip(self.a.values, self.b.values, strict=True)))


def interleave(
    a: Callable[[int], float],
    b: Callable[[int], float],
    *,
    pairs: int,
    on_pair: Callable[[int], None] = lambda _: None,
) -> Ratio:
    """Measure A B A B …, never both at once.

    Args:
        a: Measures one side, in the pair of the given number.
        b: Measures the other.
        pairs: How often, at least once.
        on_pair: Told the number of pairs that are done.
    """
    results: list[tuple[float, float]] = []
    for pair in range(pairs):
        results.append((a(pair), b(pair)))
        on_pair(len(results))
    return ratio([first for first, _ in results], [second for _, second in results])


def ratio(a: Sequence[float], b: Sequence[float]) -> Ratio:
    """The ratio of two series of as many measurements."""
    return Ratio(a=Spread(values=tuple(a)), b=Spread(values=tuple(b)))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed: ``0.99`` for p99.

    Args:
        values: At least one, in any order.
        share: Above 0, at most 1.
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
