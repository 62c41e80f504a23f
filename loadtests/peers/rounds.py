"""How much is measured: a plan for a quiet hour, and one for a quiet quarter of it."""

import math
from dataclasses import dataclass

from loadtests.closed_loop import MARGIN_S

CONCURRENCIES = (1, 16, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Pairs of runs, and their seconds."""

    pairs: int
    """Of each comparison of two sides."""
    fine_pairs: int
    """Where the difference is small (B8, B10)."""
    window_s: float
    warm_up_s: float
    open_loop_s: float
    """Of one open loop run."""
    checked_texts: int
    """Whose answers are compared."""
    idle_s: float
    """For which a side is watched while nobody asks."""
    most_texts_per_s: int = 1500
    """No side is quicker on new texts: enough of them are handed out for that."""

    @property
    def run_s(self) -> int:
        """Seconds that one closed loop takes."""
        return math.ceil(self.warm_up_s + self.window_s + MARGIN_S)

    @property
    def texts_a_run(self) -> int:
        """Handed to one closed loop."""
        return self.run_s * self.most_texts_per_s

    def survey_s(self, *, start_s: float) -> float:
        """About how long a peer takes beside us."""
        return start_s + self.idle_s + 2 * self.pairs * len(CONCURRENCIES) * self.run_s


FULL = Rounds(
    pairs=10, fine_pairs=10, window_s=8.0, warm_up_s=1.0, open_loop_s=30.0, checked_texts=64, idle_s=3.0
)
QUICK = Rounds(
    pairs=2, fine_pairs=4, window_s=2.0, warm_up_s=0.5, open_loop_s=10.0, checked_texts=24, idle_s=1.0
)
