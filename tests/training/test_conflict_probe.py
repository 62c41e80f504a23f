from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import Recorder, start_run
from training.conflict_probe import ConflictProbe
from training.trainer import Trainer


def probe_of(trainer: Trainer) -> ConflictProbe:
    return ConflictProbe(trainer.model, trainer._tasks, trainer._train, batch_size=4)


def test_a_probe_repeats_itself_and_leaves_no_trace(
    small_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    trainer = start_run(small_config(), tmp_path / "run").trainer
    trainer.model.train()
    state = torch.get_rng_state()
    first, again = probe_of(trainer).measure(), probe_of(trainer).measure()
    assert first == again
    assert torch.equal(torch.get_rng_state(), state)
    assert trainer.model.training
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_a_task_agrees_with_its_double(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Two regressions on the same rows, with the same head and then with another."""
    raw = small_config(tasks=("length", "stars"))
    raw["tasks"]["stars"] = dict(raw["tasks"]["length"])
    trainer = start_run(raw, tmp_path / "run").trainer
    assert probe_of(trainer).measure()["length", "stars"] < 1 - 1e-3
    trainer.model.heads["stars"].load_state_dict(trainer.model.heads["length"].state_dict())
    assert probe_of(trainer).measure()["length", "stars"] == pytest.approx(1, abs=1e-5)


def test_each_evaluation_of_a_run_is_probed_if_asked_for(
    small_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for probed in (True, False):
        raw = small_config(steps=2, evaluate_every=1, conflict_probe=probed)
        recorder = Recorder()
        start_run(raw, tmp_path / str(probed)).trainer.fit(recorder, lambda *_: None)
        assert [len(evaluation.cosines) for evaluation in recorder.evaluations] == [3 * probed] * 2
