"""Pictures of a study's outcome: differences between variants, and what they cost."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.comparison.drawing import BAD, COLOURS, GOOD, INK, grid_of, picture
from training.comparison.summary import CLEAR, MEAN, Difference, Row, Summary

POINTS = 100
"""Of a metric between 0 and 1."""
ROW_HEIGHT = 0.22
PANELS = 6
"""Beside each other; more would not leave room for their titles."""
OUTLYING = 4.0
"""Times the upper quartile of the differences: what is beyond is drawn at the edge, with its number."""
MARGIN = 1.1
"""Of the axis beyond the largest difference."""
MARGINS = 1.3
"""Inches beside the rows: title, axis and its label."""


def differences_chart(summary: Summary) -> str:
    """Every variant's difference from the baseline: of the mean, and of each task."""
    rows = [*summary.rows, *([summary.alone] if summary.alone is not None else [])]
    lines = -(-len(_keys(summary)) // PANELS)
    height = lines * (MARGINS + ROW_HEIGHT * len(rows))
    return picture(10, height, "differences", partial(_draw_differences, summary, rows))


def cost_chart(summary: Summary) -> str:
    """Processor time and peak memory of every variant."""
    rows = [row for row in summary.rows if row.cpu_s > 0]
    height = MARGINS + ROW_HEIGHT * len(rows)
    return picture(10, height, "cost", partial(_draw_costs, rows))


def _draw_differences(summary: Summary, rows: Sequence[Row], figure: Figure) -> None:
    keys = _keys(summary)
    for key, axes in zip(keys, grid_of(figure, len(keys), columns=PANELS, share_y=True), strict=True):
        found = [summary.difference(row, summary.baseline, key) for row in rows]
        limit = axis_limit([_reach(each) for each in found if each is not None])
        axes.set_xlim(-limit, limit)
        for place, (row, difference) in enumerate(zip(rows, found, strict=True)):
            if difference is not None:
                _draw_difference(axes, difference, place, limit=limit, is_baseline=row is summary.baseline)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_title("mean of the tasks" if key == MEAN else f"{key}\n{summary.metrics[key]}")
        axes.set_xlabel("points")
        axes.grid(axis="x")
    _name_rows(axes, rows)
    figure.suptitle(
        f"Difference from {summary.baseline.name} on dev, in hundredths of the metric", fontsize=10
    )


def _keys(summary: Summary) -> list[str]:
    return [MEAN, *summary.tasks]


def axis_limit(sizes: Sequence[float]) -> float:
    """How far an axis reaches to both sides: a variant that failed does not hide what tells the others apart.

    Args:
        sizes: Of the differences, in points.

    Returns:
        The largest, unless it is over ``OUTLYING`` times as large as the upper quartile.
    """
    largest, usual = max(sizes, default=0.0), float(np.quantile(sizes or [0.0], 0.75))
    return MARGIN * (min(largest, OUTLYING * usual) or largest or 1.0)


def _reach(found: Difference) -> float:
    """How far from zero a difference is drawn, in points."""
    return POINTS * (abs(found.value) + CLEAR * (found.error or 0.0))


def _draw_difference(axes: Axes, found: Difference, place: int, *, limit: float, is_baseline: bool) -> None:
    colour = INK
    if found.is_clear:
        colour = GOOD if found.value > 0 else BAD
    value = found.value * POINTS
    if abs(value) > limit:
        side = 1 if value > 0 else -1
        axes.plot(side * limit * 0.95, place, marker=">" if side > 0 else "<", color=colour, markersize=5)
        axes.text(
            side * limit * 0.85, place, f"{value:+.0f}", color=colour, fontsize=8, va="center",
            ha="right" if side > 0 else "left",
        )  # fmt: skip
        return
    error = None if found.error is None or is_baseline else CLEAR * found.error * POINTS
    axes.errorbar(
        value, place, xerr=error, fmt="o", markersize=5, color=colour, elinewidth=1,
        markerfacecolor=colour if found.is_clear else "none",
    )  # fmt: skip


def _draw_costs(rows: Sequence[Row], figure: Figure) -> None:
    time, memory = grid_of(figure, 2, columns=2, share_y=True)
    for axes, values, label in (
        (time, [row.cpu_s for row in rows], "processor seconds of a run's steps"),
        (memory, [row.peak_mib for row in rows], "peak memory (MiB)"),
    ):
        axes.barh(range(len(rows)), values, height=0.6, color=COLOURS[0])
        axes.set_xlabel(label)
        axes.grid(axis="x")
    _name_rows(memory, rows)


def _name_rows(axes: Axes, rows: Sequence[Row]) -> None:
    """The names of the variants, the best at the top. The axes share them."""
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
