"""Pictures of how runs went: learning curves, conflict between tasks, effective weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.comparison.drawing import COLOURS, INK, grid_of, picture
from training.comparison.results import RunResult
from training.comparison.summary import Summary
from training.history import HistoryPoint

Floats = NDArray[np.float64]
Runs = Mapping[str, Sequence[RunResult]]
"""Variant → its runs, the tasks' own runs under their names."""
Value = Callable[[HistoryPoint], float | None]

PROGRESS = "share of the run's steps (%)"
HIGHLIGHTED = 5
"""Variants that get a colour, the best ones; the others stay in the background."""
MATRICES = 6
"""Evaluations whose matrix is shown."""
MAX_LETTERED = 6
"""Tasks up to which a matrix has room for its numbers."""
MAX_PAIRS = 6
MAX_PANELS = 16
DEVIATION = 0.05
"""From the baseline's shares, from which a variant's are worth a picture."""


def curves_chart(summary: Summary, runs: Runs) -> str:
    """Each task's metric, and the joint score, on the rows set aside, as the runs proceed."""
    return picture(
        10, 3.4 * -(-(len(summary.tasks) + 1) // 2), "curves", partial(_draw_curves, summary, runs)
    )


def matrices_chart(summary: Summary, runs: Runs) -> str | None:
    """The baseline's cosines between the tasks' gradients at several evaluations; None if not probed."""
    probed = [run.history for run in runs[summary.baseline.name] if run.history and run.history[0].cosines]
    if not probed:
        return None
    return picture(10, 2.9, "matrices", partial(_draw_matrices, summary.tasks, probed))


def cosines_chart(summary: Summary, runs: Runs) -> str | None:
    """Cosines of each pair of tasks as the runs proceed; None if not probed, or for too many pairs."""
    pairs = list(combinations(summary.tasks, 2))
    probed = any(point.cosines for run in runs[summary.baseline.name] for point in run.history)
    if not probed or len(pairs) > MAX_PAIRS:
        return None
    return picture(10, 3.3 * -(-len(pairs) // 3), "cosines", partial(_draw_cosines, summary, runs, pairs))


def weights_chart(summary: Summary, runs: Runs) -> str | None:
    """How the steps' weight was shared between the tasks, of variants that share it differently."""
    shares = {
        name: _shares(runs[name], summary.tasks) for name in _in_order(summary) if runs[name][0].history
    }
    if not shares or summary.baseline.name not in shares:
        return None
    plain = shares[summary.baseline.name]
    shown = [
        name
        for name, found in shares.items()
        if name == summary.baseline.name
        or found.shape != plain.shape
        or np.abs(found - plain).max() > DEVIATION
    ][:MAX_PANELS]
    height = 0.8 + 1.7 * -(-len(shown) // 4)
    return picture(
        10, height, "weights", partial(_draw_weights, summary.tasks, {n: shares[n] for n in shown})
    )


def _draw_curves(summary: Summary, runs: Runs, figure: Figure) -> None:
    panels = grid_of(figure, len(summary.tasks) + 1, columns=2)
    _draw_lines(panels[0], summary, runs, lambda point: point.joint_score)
    panels[0].set_ylabel("joint score")
    for task, axes in zip(summary.tasks, panels[1:], strict=True):
        _draw_lines(axes, summary, runs, _score_of(task))
        own = runs.get(f"alone.{task}", ())
        if own and own[0].history:
            axes.plot(*_course(own, _score_of(task)), "--", color=INK, label="alone")
        axes.set_ylabel(f"{task}: {summary.metrics[task]}")
    figure.suptitle("On the rows set aside from train", fontsize=10)
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _draw_cosines(summary: Summary, runs: Runs, pairs: Sequence[tuple[str, str]], figure: Figure) -> None:
    panels = grid_of(figure, len(pairs), columns=3, share_y=True)
    for pair, axes in zip(pairs, panels, strict=True):
        _draw_lines(axes, summary, runs, _cosine_of("/".join(pair)))
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_title(f"{pair[0]} · {pair[1]}")
    panels[0].set_ylabel("cosine of the gradients")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _score_of(task: str) -> Value:
    return lambda point: point.scores.get(task)


def _cosine_of(pair: str) -> Value:
    return lambda point: point.cosines.get(pair)


def _draw_lines(axes: Axes, summary: Summary, runs: Runs, value: Value) -> None:
    names = [name for name in _in_order(summary) if runs[name][0].history]
    best = [name for name in names if name != summary.baseline.name][:HIGHLIGHTED]
    for name in reversed(names):
        x, y = _course(runs[name], value)
        if name == summary.baseline.name:
            axes.plot(x, y, color=INK, linewidth=2.2, label=name, zorder=3)
        elif name in best:
            axes.plot(x, y, color=COLOURS[best.index(name)], label=name, zorder=2)
        else:
            axes.plot(x, y, color=INK, alpha=0.18, linewidth=0.8, zorder=1)
    axes.set_xlabel(PROGRESS)
    axes.set_xlim(0, 100)
    axes.grid()


def _draw_matrices(tasks: Sequence[str], histories: Sequence[Sequence[HistoryPoint]], figure: Figure) -> None:
    count = min(map(len, histories))
    chosen = np.unique(np.linspace(0, count - 1, min(count, MATRICES)).round().astype(int))
    panels = grid_of(figure, len(chosen), columns=MATRICES, share_y=True)
    for place, axes in zip(chosen, panels, strict=True):
        matrix = np.mean([_matrix(tasks, history[place].cosines) for history in histories], axis=0)
        image = axes.pcolormesh(matrix, cmap="RdBu", vmin=-1, vmax=1)
        axes.set_aspect("equal")
        axes.set_ylim(len(tasks), 0)
        axes.set_title(f"step {histories[0][place].step}")
        axes.set_xticks(np.arange(len(tasks)) + 0.5, tasks, rotation=90)
        axes.set_yticks(np.arange(len(tasks)) + 0.5, tasks)
        axes.spines[:].set_visible(False)
        for (row, column), cosine in np.ndenumerate(matrix) if len(tasks) <= MAX_LETTERED else ():
            colour = "white" if abs(cosine) > 0.6 else "black"
            axes.text(
                column + 0.5, row + 0.5, f"{cosine:.2f}", ha="center", va="center", color=colour, fontsize=8
            )
    figure.colorbar(image, ax=panels, label="cosine of the gradients", shrink=0.8)


def _draw_weights(tasks: Sequence[str], shares: Mapping[str, Floats], figure: Figure) -> None:
    panels = grid_of(figure, len(shares), columns=4, share_y=True)
    for (name, found), axes in zip(shares.items(), panels, strict=True):
        x = np.linspace(100 / len(found), 100, len(found))
        drawn = axes.stackplot(x, found.T, colors=COLOURS[: len(tasks)], labels=tasks, alpha=0.85)
        axes.set_title(name, fontsize=9)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 1)
    figure.supxlabel(PROGRESS, fontsize=9)
    figure.supylabel("share of the effective weight", fontsize=9)
    figure.legend(drawn, tasks, loc="outside upper center", ncols=len(tasks))


def _in_order(summary: Summary) -> list[str]:
    return [row.name for row in summary.rows]


def _course(runs: Sequence[RunResult], value: Value) -> tuple[Floats, Floats]:
    """Progress in percent, and the mean over the runs at each evaluation that all of them have."""
    count = min(len(run.history) for run in runs)
    found = [[np.nan if (v := value(point)) is None else v for point in run.history[:count]] for run in runs]
    steps = np.array([point.step for point in runs[0].history[:count]], dtype=float)
    return 100 * steps / runs[0].steps, np.array(found).mean(axis=0)


def _shares(runs: Sequence[RunResult], tasks: Sequence[str]) -> Floats:
    """Shape ``(evaluations, tasks)``, rows sum to 1. A weight below 0, as aggregators give, counts as 0."""
    count = min(len(run.history) for run in runs)
    weights = np.mean(
        [
            [[max(p.weights.get(task, 0.0), 0.0) for task in tasks] for p in run.history[:count]]
            for run in runs
        ],
        axis=0,
    )
    shares: Floats = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return shares


def _matrix(tasks: Sequence[str], cosines: Mapping[str, float]) -> Floats:
    matrix = np.eye(len(tasks))
    for (row, first), (column, second) in combinations(enumerate(tasks), 2):
        matrix[row, column] = matrix[column, row] = cosines.get(f"{first}/{second}", np.nan)
    return matrix
