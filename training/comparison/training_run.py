"""What the processes of a comparison do: train a run for its result, or measure how long runs take."""

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from training.assembly.encodings import store_encodings
from training.assembly.run import build_run
from training.checkpoint import CONFIG_FILE, RunFolder
from training.commands.fit import fit_config
from training.comparison.estimate import Speed, examples_a_step
from training.comparison.planning import PlannedRun
from training.comparison.pool import Progress, Tell
from training.comparison.results import RunResult, result_of
from training.config.file import dump_config
from training.config.schema import Config
from training.gradients import StepReport
from training.identity import code_commit
from training.observing import Evaluation, Observer

WARM_UP, MEASURED = 2, 4
"""Steps whose time does not count yet, and those whose does."""


class _Teller(Observer):
    """Tells each step."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:  # noqa: ARG002
        self._tell(Progress(step=step))

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Nothing to tell."""


class _Stopwatch(Observer):
    """Times the last steps and the evaluation."""

    def __init__(self) -> None:
        self.step_s: list[float] = []
        self.evaluation_s = 0.0
        self._since = 0.0

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:  # noqa: ARG002
        self.step_s.append(report.wall_s)
        self._since = time.perf_counter()

    def on_evaluation(self, evaluation: Evaluation) -> None:  # noqa: ARG002
        self.evaluation_s = time.perf_counter() - self._since


def train_planned(run: PlannedRun, folder: Path, encodings: Path, keep: bool, tell: Tell) -> RunResult:
    """Train a run, or the rest of it, and evaluate it on dev.

    Args:
        run: What to train.
        folder: Of the run; one that was begun with another configuration, data or weights is begun anew.
        encodings: Where all runs find what a frozen encoder gives.
        keep: Whether the folder stays.
        tell: Told of each step.
    """
    if _is_of_another(folder, run):
        shutil.rmtree(folder)
    console = Console(width=110)
    fit_config(
        run.config, folder, resume=True, console=console, watching=[_Teller(tell)], encodings=encodings
    )
    result = result_of(
        folder,
        variant=run.variant,
        task=run.task,
        seed=run.config.seed,
        config_sha256=run.config_sha256,
        commit=code_commit(),
    )
    if not keep:
        shutil.rmtree(folder)
    return result


def _is_of_another(folder: Path, run: PlannedRun) -> bool:
    begun, identity = folder / CONFIG_FILE, RunFolder(folder).identity
    if not begun.is_file():
        return False
    if identity is not None and identity.config_sha256 != run.config_sha256:
        return True
    return begun.read_text(encoding="utf-8") != dump_config(run.config)


def measure_speed(config: Config, encodings: Path, _tell: Tell) -> Speed:
    """Train a few steps for nothing, to know how long runs will take.

    Args:
        config: Of a run.
        encodings: Where all runs find what a frozen encoder gives; filled here, since they will need it.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = build_run(config, RunFolder(Path(folder)))
        setup_s = time.perf_counter() - began
        store_encodings(run, encodings, console=Console(width=110))
        steps, few, watch = run.trainer.settings.steps, WARM_UP + MEASURED, _Stopwatch()
        run.trainer.settings = replace(run.trainer.settings, steps=few, evaluate_every=few)
        run.trainer.fit(watch, lambda *_: None)
    examples, rows = examples_a_step(config), sum(map(len, run.data.selection.values()))
    return Speed(
        setup_s=setup_s,
        example_s=sum(watch.step_s[WARM_UP:]) / MEASURED / examples,
        row_s=watch.evaluation_s / rows,
        examples=steps * examples,
        selection_rows={name: len(data) for name, data in run.data.selection.items()},
        dev_rows={name: len(data) for name, data in run.data.dev.items()},
    )
