"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere, and TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter

from training.evaluation import Metrics
from training.gradients import StepReport
from training.observing import Evaluation

SMOOTHING = 0.95
"""Share of the past in the shown losses: an average over about the last 20 batches of a task."""


class RunObserver:
    """Shows a run and writes its TensorBoard series.

    Args:
        console: Where to show; the bar is left out when it is no terminal.
        folder: Of the TensorBoard files.
        steps: Of the whole run.
        first_step: Steps done before a resume; series written after it are dropped.
    """

    def __init__(self, console: Console, folder: Path, *, steps: int, first_step: int) -> None:
        self._console = console
        self._progress = build_progress(console)
        self._bar = self._progress.add_task("training", total=steps, completed=first_step, note="")
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)
        self._losses: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._writer.close()

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:
        """Move the bar and log losses, effective weights, gradient cosines, draws and rates."""
        for name, loss in report.losses.items():
            past = self._losses.get(name, loss)
            self._losses[name] = SMOOTHING * past + (1 - SMOOTHING) * loss
            self._writer.add_scalar(f"loss/{name}", loss, step)
        for name, weight in report.weights.items():
            self._writer.add_scalar(f"weight/{name}", weight, step)
        for name, probability in report.probabilities.items():
            self._writer.add_scalar(f"sampling/{name}", probability, step)
        for (first, second), cosine in report.cosines.items():
            self._writer.add_scalar(f"gradient_cosine/{first}_{second}", cosine, step)
        if report.penalty is not None:
            self._writer.add_scalar("penalty", report.penalty, step)
        for group, rate in rates.items():
            self._writer.add_scalar(f"learning_rate/{group}", rate, step)
        self._writer.add_scalar("step_cpu_s", report.cpu_s, step)
        self._progress.update(self._bar, completed=step, note=self._loss_note())

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Print the scores on the selection split and log them."""
        for task, metrics in evaluation.metrics.items():
            for metric, value in metrics.items():
                self._writer.add_scalar(f"{metric}/{task}", value, evaluation.step)
        for (first, second), cosine in evaluation.cosines.items():
            self._writer.add_scalar(f"probed_cosine/{first}_{second}", cosine, evaluation.step)
        for gate, use in evaluation.gates.items():
            self._writer.add_scalar(f"gate_entropy/{gate}", use.entropy, evaluation.step)
            for expert, weight in use.weights.items():
                self._writer.add_scalar(f"expert_use/{gate}/{expert}", weight, evaluation.step)
        self._writer.add_scalar("joint_score", evaluation.score, evaluation.step)
        scores = "  ".join(f"{task} {value:.3f}" for task, value in evaluation.primary.items())
        best = "  (best)" if evaluation.is_best else ""
        say(
            self._console,
            f"step {evaluation.step}: joint score {evaluation.score:.4f}{best}  {scores}  "
            f"loss: {self._loss_note()}",
        )

    def _loss_note(self) -> str:
        return " ".join(f"{name} {loss:.3f}" for name, loss in self._losses.items())


def say(console: Console, line: str) -> None:
    """Print a line as it is: not coloured, and in a log file not broken at 80 columns."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def build_progress(console: Console) -> Progress:
    """A bar with counts, times and a note; nothing when the console is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


def metrics_table(title: str, metrics: Metrics) -> Table:
    """Metrics of every task as a table."""
    table = Table("task", "metric", "value", title=title, title_justify="left")
    for task, values in metrics.items():
        table.add_section()
        for number, (metric, value) in enumerate(values.items()):
            table.add_row(task if number == 0 else "", metric, f"{value:.4f}")
    return table
