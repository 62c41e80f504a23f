"""The report of inter-task affinity: a heatmap, its course over the run, and the same as a table."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.affinity import Affinities, mean_affinities
from training.comparison.drawing import COLOURS, INK, grid_of, picture
from training.comparison.page import Picture, Section
from training.comparison.report import write_pages
from training.comparison.tables import Table

PERCENT = 100
MAX_COURSES = 9
"""Tasks up to which there is room for a panel each."""


def write_affinities(
    name: str, tasks: Sequence[str], measured: Mapping[int, Affinities], folder: Path
) -> str:
    """Write the report. Returns its table as Markdown.

    Args:
        name: Of the run.
        tasks: In the order of the file.
        measured: By the optimizer steps done; at least one.
        folder: Where to write.
    """
    mean = mean_affinities(list(measured.values()))
    table = affinity_table(tasks, mean)
    matrix = np.array([[mean[step, loss] for loss in tasks] for step in tasks])
    heat = Picture(
        name="affinity",
        svg=picture(
            2.5 + 0.9 * len(tasks), 1.6 + 0.7 * len(tasks), "affinity", partial(_draw_heat, tasks, matrix)
        ),
        caption="What a step on the row's task takes off the loss of the column's, in percent of it.",
    )
    content: list[Table | Picture] = [heat, table]
    if len(measured) > 1 and len(tasks) <= MAX_COURSES:
        rows = -(-len(tasks) // 3)
        svg = picture(10, 0.8 + 2.6 * rows, "affinity_course", partial(_draw_courses, tasks, measured))
        content.append(
            Picture(
                name="affinity_course", svg=svg, caption="Each panel: steps on one task. Above 0 they help."
            )
        )
    partners = _partners(tasks, mean)
    notes = [
        "Inter-task affinity (Fifty et al. 2021): Z = 1 - L_j(after a step on i) / L_j(before), of the "
        f"shared parameters, averaged over {len(measured)} measurements of one joint run. {partners}"
    ]
    write_pages(name, [Section(title="Which tasks help which", notes=notes, content=content)], folder)
    return table.markdown()


def affinity_table(tasks: Sequence[str], affinities: Affinities) -> Table:
    """A row for each task that steps, a column for each loss, in percent."""
    return Table(
        header=("a step on ↓ changes the loss of →", *tasks),
        rows=tuple(
            (step, *(f"{PERCENT * affinities[step, loss]:+.2f} %" for loss in tasks)) for step in tasks
        ),
    )


def best_partner(task: str, tasks: Sequence[str], affinities: Affinities) -> str | None:
    """The other task whose steps lower a task's loss most; None if all of them raise it."""
    others = {other: affinities[other, task] for other in tasks if other != task}
    best = max(others, key=others.__getitem__)
    return best if others[best] > 0 else None


def _partners(tasks: Sequence[str], affinities: Affinities) -> str:
    found = {task: best_partner(task, tasks, affinities) for task in tasks}
    return " ".join(
        f"{task} is helped most by {partner}." if partner else f"No task's steps help {task}."
        for task, partner in found.items()
    )


def _draw_heat(tasks: Sequence[str], matrix: NDArray[np.float64], figure: Figure) -> None:
    (axes,) = grid_of(figure, 1, columns=1)
    percent = PERCENT * matrix
    apart = np.abs(percent[~np.eye(len(tasks), dtype=bool)])
    limit = float(apart.max()) or 1.0  # a task helps itself most, and would hide the rest
    mesh = axes.pcolormesh(percent, cmap="RdBu", vmin=-limit, vmax=limit, edgecolors="none")
    axes.set_ylim(len(tasks), 0)
    axes.set_xticks(np.arange(len(tasks)) + 0.5, tasks, rotation=30, ha="right")
    axes.set_yticks(np.arange(len(tasks)) + 0.5, tasks)
    axes.set_xlabel("loss of")
    axes.set_ylabel("a step on")
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if abs(value) > 0.6 * limit else "black"
        axes.text(column + 0.5, row + 0.5, f"{value:+.2f}", ha="center", va="center", color=colour)
    figure.colorbar(mesh, ax=axes, label="affinity (% of the loss)", extend="both")


def _draw_courses(tasks: Sequence[str], measured: Mapping[int, Affinities], figure: Figure) -> None:
    panels = grid_of(figure, len(tasks), columns=3)
    for stepping, axes in zip(tasks, panels, strict=True):
        for number, task in enumerate(tasks):
            if task != stepping:
                values = [PERCENT * found[stepping, task] for found in measured.values()]
                axes.plot(list(measured), values, color=COLOURS[number % len(COLOURS)], label=task)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_title(f"a step on {stepping}")
        axes.set_xlabel("optimizer steps")
        axes.set_ylabel("affinity (% of the loss)")
        axes.legend(fontsize=8)
        axes.grid()
