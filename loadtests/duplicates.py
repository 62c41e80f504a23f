"""Texts with a given share of repetitions."""

import random
from collections import deque
from collections.abc import Sequence

RECENT = 1000
"""Repetitions come from so many last texts: within any sensible cache, and not always the same few."""


class DuplicatingSource:
    """Draws texts, of which a given share has been drawn before.

    Fresh texts come in the given order. After the last one they start again, so that a long run repeats more
    than it was asked to: give it enough texts.
    """

    def __init__(self, texts: Sequence[str], *, duplicates: float, generator: random.Random) -> None:
        """Start with nothing drawn.

        Args:
            texts: Distinct, at least one.
            duplicates: Share of draws that repeat one of the last ``RECENT`` distinct texts, from 0 to 1.
            generator: Source of the draws.

        Raises:
            ValueError: If the share is not between 0 and 1, or there is no text.
        """
        if not 0 <= duplicates <= 1:
            raise ValueError(f"Expected a share of duplicates between 0 and 1, found {duplicates}.")
        if not texts:
            raise ValueError("Expected at least one text, found none.")
        self._texts = texts
        self._duplicates = duplicates
        self._generator = generator
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._next = 0

    def draw(self) -> str:
        """The next text. The very first is always fresh."""
        if self._recent and self._generator.random() < self._duplicates:
            return self._generator.choice(self._recent)
        text = self._texts[self._next % len(self._texts)]
        self._next += 1
        self._recent.append(text)
        return text
