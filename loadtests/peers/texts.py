"""Texts in rotation, with a long tail, and repeated at will."""

import random
from collections.abc import Sequence

from loadtests.errors import LoadTestError

LONG_SHARE = 0.05
LONG_TOKENS = (100, 256)
SPECIAL_TOKENS = 2
"""Around a text; within texts that are joined they are not repeated."""


class Rotation:
    """Texts in a fixed order that starts again at its end.

    Args:
        texts: Distinct.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._next = 0

    def __len__(self) -> int:
        return len(self._texts)

    def take(self, count: int) -> list[str]:
        """The next ones.

        Raises:
            LoadTestError: If there are not so many: a run would repeat itself.
        """
        if count > len(self._texts):
            raise LoadTestError(
                f"{count} distinct texts are needed at once, there are {len(self._texts)}. Lower --window."
            )
        doubled = [*self._texts[self._next :], *self._texts[: self._next]]
        self._next = (self._next + count) % len(self._texts)
        return doubled[:count]

    def give_back(self, count: int) -> None:
        """The last ``count`` texts were never sent."""
        self._next = (self._next - count) % len(self._texts)


def with_long_tail(texts: Sequence[str], num_tokens: Sequence[int], *, generator: random.Random) -> list[str]:
    """Replace a few texts by long ones, made of the texts behind them.

    Args:
        texts: At least one.
        num_tokens: Of each text, special ones among them.
        generator: Source of the draws.
    """
    low, high = LONG_TOKENS
    mixed = []
    for place, text in enumerate(texts):
        if generator.random() >= LONG_SHARE:
            mixed.append(text)
            continue
        goal, total, parts = generator.randint(low, high), SPECIAL_TOKENS, []
        for other in range(place, place + len(texts)):
            more = num_tokens[other % len(texts)] - SPECIAL_TOKENS
            if total >= goal or total + more > high:
                break
            parts.append(texts[other % len(texts)])
            total += more
        mixed.append(" ".join(parts) or text)
    return mixed
