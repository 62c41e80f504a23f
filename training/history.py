"""A run's history: what each evaluation found, and what happened since the one before. Resumes exactly.

It lies in the run's folder as JSON, and what ``python -m training compare`` shows of a run comes from it.
"""

import json
import re
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from training.checkpoint import write_text_atomically
from training.gradients import StepReport
from training.observing import Evaluation

HISTORY_FILE = "history.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """One evaluation, and the steps that led to it from the one before.

    Attributes:
        step: Optimizer steps done.
        scores: Every task's primary metric on the rows set aside.
        joint_score: What the best checkpoint is chosen by.
        losses: Mean training loss of each task that had a batch.
        weights: How much of each task's gradient entered a step, on average over all steps: 0 counts where it
            had no batch.
        cosines: Of the tasks' gradients on the same examples each time, by ``"task/task"``; where probed.
        wall_s: Seconds of the steps, without evaluation and checkpoint.
        cpu_s: Processor seconds of the steps, of all threads.
        peak_mib: Largest resident memory of the process so far, in MiB.
    """

    step: int
    scores: dict[str, float]
    joint_score: float
    losses: dict[str, float]
    weights: dict[str, float]
    cosines: dict[str, float]
    wall_s: float
    cpu_s: float
    peak_mib: float


class HistoryWriter:
    """Writes a run's history as it goes. Use it as an observer.

    Args:
        folder: Of the run.
        first_step: Steps done before a resume; what was written of later ones is dropped.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._file = folder / HISTORY_FILE
        self._points = [point for point in read_history(folder) if point.step <= first_step]
        self._reports: list[StepReport] = []
        forget_peak_memory()

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:  # noqa: ARG002
        """Keep the step until the next evaluation."""
        self._reports.append(report)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Add a point and write all of them."""
        reports, self._reports = self._reports, []
        self._points.append(
            HistoryPoint(
                step=evaluation.step,
                scores=evaluation.primary,
                joint_score=evaluation.score,
                losses={name: sum(each) / len(each) for name, each in _by_task(reports, "losses").items()},
                weights={
                    name: sum(each) / len(reports) for name, each in _by_task(reports, "weights").items()
                },
                cosines={"/".join(pair): cosine for pair, cosine in evaluation.cosines.items()},
                wall_s=sum(report.wall_s for report in reports),
                cpu_s=sum(report.cpu_s for report in reports),
                peak_mib=peak_memory_mib(),
            )
        )
        points = [rounded(asdict(point)) for point in self._points]
        write_text_atomically(self._file, json.dumps(points, indent=1) + "\n")


def read_history(folder: Path) -> list[HistoryPoint]:
    """A run's history so far; empty for a run that wrote none."""
    file = folder / HISTORY_FILE
    if not file.is_file():
        return []
    return [HistoryPoint(**point) for point in json.loads(file.read_text(encoding="utf-8"))]


def task_bests(history: Sequence[HistoryPoint]) -> dict[str, tuple[int, float]]:
    """When each task by itself was best on the rows set aside, the first of equals: step and metric."""
    tasks = history[0].scores if history else {}
    best = {task: max(history, key=lambda point: point.scores[task]) for task in tasks}
    return {task: (point.step, point.scores[task]) for task, point in best.items()}


def rounded(value: object) -> object:
    """The same JSON with floats of six digits: more are noise, and files that are committed stay small."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def forget_peak_memory() -> None:
    """Let the peak start anew, where the system can (Linux): loading the data may have needed more."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5", encoding="ascii")


def peak_memory_mib() -> float:
    """Largest resident memory of this process, in MiB, since the peak was last forgotten."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _by_task(reports: Sequence[StepReport], what: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for report in reports:
        values: Mapping[str, float] = getattr(report, what)
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return found
