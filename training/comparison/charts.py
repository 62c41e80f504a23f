"""Pictures of a study's outcome: differences between variants, and what they cost."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.comparison.drawing import BAD, COLOURS, GOOD, INK, grid_of, picture
from training.comparison.summary import CLEAR, MEAN, Row, Summary

POINTS = 100
"""Of a metric between 0 and 1."""
ROW_HEIGHT = 0.22
MARGINS = 1.3
"""Inches beside the rows: title, axis and its label."""


def differences_chart(summary: Summary) -> str:
    """Every variant's difference from the baseline: of the mean, and of each task."""
    rows = [*summary.rows, *([summary.alone] if summary.alone is not None else [])]
    height = MARGINS + ROW_HEIGHT * len(rows)
    return picture(10, height, "differences", partial(_draw_differences, summary, rows))


def cost_chart(summary: Summary) -> str:
    """Processor time and peak memory of every variant."""
    rows = [row for row in summary.rows if row.cpu_s > 0]
    height = MARGINS + ROW_HEIGHT * len(rows)
    return picture(10, height, "cost", partial(_draw_costs, rows))


def _draw_differences(summary: Summary, rows: Sequence[Row], figure: Figure) -> None:
    keys = [MEAN, *summary.tasks]
    for key, axes in zip(keys, grid_of(figure, len(keys), columns=len(keys), share_y=True), strict=True):
        for place, row in enumerate(rows):
            _draw_difference(axes, summary, row, key, place)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_title("mean of the tasks" if key == MEAN else f"{key}\n{summary.metrics[key]}")
        axes.set_xlabel("points")
        axes.grid(axis="x")
        axes.margins(x=0.1)
    _name_rows(axes, rows)
    figure.suptitle(
        f"Difference from {summary.baseline.name} on dev, in hundredths of the metric", fontsize=10
    )


def _draw_difference(axes: Axes, summary: Summary, row: Row, key: str, place: int) -> None:
    found = summary.difference(row, summary.baseline, key)
    if found is None:
        return
    colour = INK
    if found.is_clear:
        colour = GOOD if found.value > 0 else BAD
    error = None if found.error is None or row is summary.baseline else CLEAR * found.error * POINTS
    axes.errorbar(
        found.value * POINTS, place, xerr=error, fmt="o", markersize=5, color=colour, elinewidth=1,
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
