"""How much a key may ask for."""

from collections.abc import Callable


class TokenBucket:
    """Fills at a rate, up to a burst; whoever asks takes out of it."""

    def __init__(self, *, rate_per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._filled_s = clock()

    def take(self, count: int) -> float:
        """Take so many, if there are enough.

        More than the burst can be taken from a full bucket: it is then in debt, so that the rate holds and no
        request is too large for ever.

        Returns:
            0.0 if they were taken; else the seconds until they could be, and nothing is.
        """
        now_s = self._clock()
        self._level = min(self._burst, self._level + self._rate_per_s * (now_s - self._filled_s))
        self._filled_s = now_s
        missing = min(count, self._burst) - self._level
        if missing > 0:
            return missing / self._rate_per_s
        self._level -= count
        return 0.0

    def give_back(self, count: int) -> None:
        """Put back what was taken and not used. What runs over the burst is lost."""
        self._level = min(self._burst, self._level + count)
