"""Small configurations, and runs that record what they did."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState
from rich.console import Console

from tests.support.tiny import tiny_config
from training.assembly.run import Run, build_run
from training.checkpoint import RunFolder
from training.config.file import dump_config, parse_config
from training.config.schema import Config
from training.gradients import StepReport
from training.identity import identity_of
from training.observing import Evaluation

SMALL_TASKS = ("sentiment", "duplicate", "stars")
"""One text, a bi-encoded pair and a value: every path of the loop."""


class Recorder:
    """An observer that keeps everything, and stops the run like a kill if told to.

    Args:
        stop_after: Raises once this many steps are done.
    """

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.reports: dict[int, StepReport] = {}
        self.losses: dict[int, dict[str, float]] = {}
        self.rates: dict[int, dict[str, float]] = {}
        self.evaluations: list[Evaluation] = []
        self._stop_after = stop_after

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:
        self.reports[step], self.losses[step], self.rates[step] = report, report.losses, dict(rates)
        if step == self._stop_after:
            raise InterruptedError

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)


@pytest.fixture(autouse=True)
def _fresh_accelerator() -> Iterator[None]:
    """accelerate keeps the first run's precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def quiet() -> Console:
    return Console(quiet=True)


@pytest.fixture
def small_config(tmp_path: Path, tiny_encoder: Path) -> Callable[..., dict[str, Any]]:
    """A raw configuration of three tasks; keywords override the section ``training``."""

    def build(*, tasks: tuple[str, ...] = SMALL_TASKS, rows: int = 24, **training: Any) -> dict[str, Any]:
        config = tiny_config(tmp_path, tiny_encoder, rows=rows)
        config["tasks"] = {name: config["tasks"][name] for name in tasks}
        config["training"] = {"steps": 9, "batch_size": 4, "evaluate_every": 4, **training}
        return config

    return build


def start_run(raw: dict[str, Any], folder: Path, *, resume: bool = False) -> Run:
    """What ``fit`` does before its first step."""
    config: Config = parse_config(raw)
    run_folder = RunFolder(folder)
    run_folder.start(dump_config(config), resume=resume, identity=identity_of(config))
    run = build_run(config, run_folder)
    if resume:
        run.resume()
    return run
