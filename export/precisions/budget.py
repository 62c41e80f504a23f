"""Is a precision good enough? Pure: dev metrics in, a verdict with its reason out."""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_BUDGET = 0.5
"""Points that a task's primary dev metric may lose; a point is 0.01."""
POINT = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a precision is kept.

    Attributes:
        is_kept: If every task is within the budget.
        reason: The largest loss in words.
    """

    is_kept: bool
    reason: str


def judge(
    fp32: Mapping[str, Mapping[str, float]],
    reduced: Mapping[str, Mapping[str, float]],
    *,
    primary: Mapping[str, str],
    budget: float,
) -> Verdict:
    """Compare every task's primary metric.

    Args:
        fp32: Dev metrics by task and name, of the fp32 graph on the same rows.
        reduced: Of the reduced precision.
        primary: Each task's metric that decides; larger is better.
        budget: Points that a task may lose.
    """
    losses = {task: (fp32[task][metric] - reduced[task][metric]) / POINT for task, metric in primary.items()}
    # A metric that is no number (a constant answer has no correlation) is no evidence that all is well.
    over = {task: loss for task, loss in losses.items() if not loss <= budget + 1e-9}
    if over:
        named = ", ".join(f"{task} loses {loss:.2f} ({primary[task]})" for task, loss in over.items())
        return Verdict(is_kept=False, reason=f"{named}; {budget:g} points are allowed")
    worst = max(losses, key=lambda task: losses[task])
    return Verdict(
        is_kept=True,
        reason=f"every task within {budget:g} points; the most is {losses[worst]:+.2f} lost by {worst}",
    )
