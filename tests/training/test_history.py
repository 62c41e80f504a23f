import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.support.tiny import write_config
from tests.training.conftest import Recorder
from training.checkpoint import RunFolder, read_metrics
from training.commands.fit import fit_config
from training.config.file import load_config
from training.gradients import StepReport
from training.history import HISTORY_FILE, HistoryWriter, peak_memory_mib, read_history, task_bests
from training.observing import Evaluation

SmallConfig = Callable[..., dict[str, Any]]


def evaluation(step: int, score: float = 0.5) -> Evaluation:
    metrics = {"mood": {"accuracy": score, "f1_macro": 0.1}, "stars": {"pearson": 0.3}}
    return Evaluation(
        step=step, metrics=metrics, score=score, is_best=True, cosines={("mood", "stars"): -0.25}
    )


def report(**losses: float) -> StepReport:
    return StepReport(losses=losses, weights=dict.fromkeys(losses, 0.5), wall_s=2.0, cpu_s=1.0)


def test_a_point_says_what_happened_since_the_one_before(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, first_step=0)
    for step, losses in enumerate([{"mood": 3.0}, {"mood": 1.0}, {"stars": 0.5}, {"mood": 5.0}], 1):
        writer.on_step(step, report(**losses), {})
    writer.on_evaluation(evaluation(4))
    writer.on_step(5, report(stars=1.0), {})
    writer.on_evaluation(evaluation(5))
    first, second = read_history(tmp_path)
    assert first.losses == {"mood": 3.0, "stars": 0.5}
    assert first.weights == {"mood": 0.375, "stars": 0.125}, "0 counts where a task had no batch"
    assert first.scores == {"mood": 0.5, "stars": 0.3}
    assert first.cosines == {"mood/stars": -0.25}
    assert (first.wall_s, first.cpu_s) == (8.0, 4.0)
    assert (second.step, second.losses, second.weights) == (5, {"stars": 1.0}, {"stars": 0.5})


def test_what_a_killed_run_wrote_after_its_checkpoint_is_dropped(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, first_step=0)
    for step in (4, 8):
        writer.on_step(step, report(mood=1.0), {})
        writer.on_evaluation(evaluation(step, score=0.1))
    resumed = HistoryWriter(tmp_path, first_step=4)
    resumed.on_step(8, report(mood=1.0), {})
    resumed.on_evaluation(evaluation(8, score=0.2))
    assert [(point.step, point.joint_score) for point in read_history(tmp_path)] == [(4, 0.1), (8, 0.2)]


def test_a_resumed_run_has_the_history_of_one_that_was_never_stopped(
    small_config: SmallConfig, tmp_path: Path, quiet: Console
) -> None:
    config = load_config(write_config(tmp_path / "small.yaml", small_config(conflict_probe=True)))
    fit_config(config, tmp_path / "whole", resume=False, console=quiet)
    with pytest.raises(InterruptedError):
        fit_config(config, tmp_path / "cut", resume=False, console=quiet, watching=[Recorder(stop_after=6)])
    fit_config(config, tmp_path / "cut", resume=True, console=quiet)
    timed = {"wall_s", "cpu_s", "peak_mib"}
    whole, cut = (json.loads((tmp_path / run / HISTORY_FILE).read_text()) for run in ("whole", "cut"))
    assert [point["step"] for point in whole] == [4, 8, 9]
    for point in (*whole, *cut):
        assert all(point.pop(name) > 0 for name in timed)
    assert cut == whole


def test_each_tasks_own_best_is_told_and_kept_if_asked_for(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config(steps=6, evaluate_every=1, learning_rate=0.05)
    raw["selection"]["keep_task_best"] = True
    config = load_config(write_config(tmp_path / "small.yaml", raw))
    fit_config(config, tmp_path / "run", resume=False, console=Console())
    shown = capsys.readouterr().out
    bests = task_bests(read_history(tmp_path / "run"))
    folder = RunFolder(tmp_path / "run")
    assert folder.index is not None
    assert folder.index.task_best == {task: f"step-{step:06d}" for task, (step, _) in bests.items()}
    for task, (step, score) in bests.items():
        assert f"{task} by itself was best at step {step}: {score:.4f}" in shown
        metrics = read_metrics(folder.folder(folder.index.task_best[task]))["selection"][task]
        assert next(iter(metrics.values())) == pytest.approx(score, abs=1e-5)


def test_the_peak_is_that_of_the_steps(tmp_path: Path) -> None:
    block = torch.ones(2**26)  # 256 MiB
    assert peak_memory_mib() > 256
    before = peak_memory_mib()
    del block
    HistoryWriter(tmp_path, first_step=0)
    assert peak_memory_mib() < before - 200
