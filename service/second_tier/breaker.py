"""A server that does not answer is left alone for a while. Pure, but for the clock."""

from collections.abc import Callable


class CircuitBreaker:
    """Closed until several calls in a row failed; then one call is let through in each cool-down."""

    def __init__(self, *, max_failures: int, cooldown_s: float, clock: Callable[[], float]) -> None:
        self._max_failures = max_failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._failures = 0
        self._opened_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server counts as gone."""
        return self._opened_s is not None

    def allows(self) -> bool:
        """Whether to make a call now.

        While open, a call that is let through counts as failed until it is known to have succeeded.
        """
        if self._opened_s is None:
            return True
        if self._clock() < self._opened_s + self._cooldown_s:
            return False
        self._opened_s = self._clock()  # the next one waits another cool-down, whatever this one does
        return True

    def succeeded(self) -> None:
        """A call was answered in time."""
        self._failures = 0
        self._opened_s = None

    def failed(self) -> None:
        """A call failed, or was not answered in time."""
        self._failures += 1
        if self._failures >= self._max_failures:
            self._opened_s = self._clock()
