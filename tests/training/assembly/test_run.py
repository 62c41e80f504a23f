"""Checkpoints load as they were saved, and an interrupted run continues exactly."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny import write_rows
from tests.training.conftest import Recorder, start_run
from training.assembly.run import Run
from training.assembly.trained import load_model
from training.errors import CheckpointError, ConfigError, DataError

SmallConfig = Callable[..., dict[str, Any]]
VARIANTS: dict[str, dict[str, Any]] = {
    "proportional": {"sampling": {"name": "proportional"}},
    "uniform": {"sampling": {"name": "uniform"}, "schedule": "cosine"},
    "temperature": {"sampling": {"name": "temperature", "T": 3}, "gradient_accumulation": 2},
    "round_robin": {"sampling": {"name": "round_robin"}},
    "metabatch": {"batches": "metabatch", "schedule": "constant"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(
    small_config: SmallConfig, tmp_path: Path, variant: str
) -> None:
    """With dropout, in the middle of an epoch, with losses and weights equal to the last bit."""
    raw = small_config(rows=30, **VARIANTS[variant])
    whole, reference = Recorder(), start_run(raw, tmp_path / "whole")
    torch.manual_seed(11)  # dropout's draws, which the interrupted run shall repeat
    reference.trainer.fit(whole, reference.write_checkpoint)

    interrupted, killed = Recorder(stop_after=7), start_run(raw, tmp_path / "killed")
    torch.manual_seed(11)
    with pytest.raises(InterruptedError):
        killed.trainer.fit(interrupted, killed.write_checkpoint)
    torch.manual_seed(99)
    resumed, run = Recorder(), start_run(raw, tmp_path / "killed", resume=True)
    assert run.trainer.step == 4
    run.trainer.fit(resumed, run.write_checkpoint)

    assert interrupted.losses == {step: losses for step, losses in whole.losses.items() if step <= 7}
    assert resumed.losses == {step: losses for step, losses in whole.losses.items() if step > 4}
    assert resumed.rates == {step: rates for step, rates in whole.rates.items() if step > 4}
    assert resumed.evaluations == [evaluation for evaluation in whole.evaluations if evaluation.step > 4]
    assert weights_of(run) == weights_of(reference)
    assert run.folder.index == reference.folder.index


def test_fp16_is_refused_where_it_would_be_float32_without_a_word(
    small_config: SmallConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(ConfigError, match=r"training\.mixed_precision: fp16 needs a GPU; set bf16 or no"):
        start_run(small_config(mixed_precision="fp16"), tmp_path / "run")


def weights_of(run: Run) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in run.trainer.model.state_dict().items()}


def test_a_run_killed_before_its_first_checkpoint_starts_over(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config()
    killed = start_run(raw, tmp_path / "run")
    with pytest.raises(InterruptedError):
        killed.trainer.fit(Recorder(stop_after=2), killed.write_checkpoint)
    assert start_run(raw, tmp_path / "run", resume=True).trainer.step == 0


def test_a_run_stopped_by_patience_does_not_go_on_when_resumed(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(steps=40, evaluate_every=1, learning_rate=1e-9, encoder_learning_rate=1e-9)
    raw["selection"] = {"patience": 2, "fraction": 0.2}
    run = start_run(raw, tmp_path / "run")
    run.trainer.fit(Recorder(), run.write_checkpoint)
    resumed, recorder = start_run(raw, tmp_path / "run", resume=True), Recorder()
    resumed.trainer.fit(recorder, resumed.write_checkpoint)
    assert resumed.trainer.step == run.trainer.step < 40
    assert recorder.losses == {}


def test_a_checkpoint_loads_with_the_weights_tokenizer_and_tasks_it_was_saved_with(tiny_run: Path) -> None:
    trained = load_model(tiny_run)
    saved = load_file(trained.checkpoint / "model.safetensors")
    assert {name: tensor.tolist() for name, tensor in trained.model.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in saved.items()
    }
    assert not trained.model.training
    assert list(trained.tasks) == list(trained.config.tasks)
    assert len(trained.tokenizer.encode("lamp " * 50).ids) == trained.config.encoder.max_length
    assert set(trained.metrics) == {
        "step", "score", "parameters", "batches", "selection", "dev", "calibration",
    }  # fmt: skip


def test_a_checkpoint_holds_no_pickled_model(tiny_run: Path) -> None:
    checkpoint = load_model(tiny_run).checkpoint
    assert {str(file.relative_to(checkpoint)) for file in checkpoint.rglob("*") if file.is_file()} == {
        "model.safetensors",
        "config.yaml",
        "encoder/config.json",
        "tokenizer/tokenizer.json",
        "metrics.json",
        "state/training.pt",
    }


@pytest.mark.parametrize(
    "file",
    ["model.safetensors", "config.yaml", "encoder/config.json", "tokenizer/tokenizer.json", "metrics.json"],
)
@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
def test_a_damaged_checkpoint_is_refused_by_name(
    tiny_run: Path, tmp_path: Path, file: str, damage: str
) -> None:
    copy = tmp_path / "checkpoint"
    shutil.copytree(load_model(tiny_run).checkpoint, copy)
    content = (copy / file).read_bytes()
    if damage == "missing":
        (copy / file).unlink()
    else:
        (copy / file).write_bytes(content[: len(content) // 2] if damage == "truncated" else b"{[\xff")
    with pytest.raises(CheckpointError, match="checkpoint"):
        load_model(copy)


@pytest.mark.parametrize("file", ["model.safetensors", "state/training.pt"])
@pytest.mark.parametrize("damage", [b"", b"garbage, and no checkpoint"])
def test_a_run_whose_state_is_damaged_is_not_resumed(
    small_config: SmallConfig, tmp_path: Path, file: str, damage: bytes
) -> None:
    raw = small_config(tasks=("stars",), steps=1)
    run = start_run(raw, tmp_path / "run")
    run.trainer.fit(Recorder(), run.write_checkpoint)
    (tmp_path / "run" / "checkpoints" / "step-000001" / file).write_bytes(damage)
    with pytest.raises(CheckpointError, match="step-000001 cannot be resumed from"):
        start_run(raw, tmp_path / "run", resume=True)


def test_more_positions_than_the_encoder_has_are_refused(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config()
    raw["encoder"]["max_length"] = 65
    with pytest.raises(ConfigError, match=r"encoder\.max_length: 65, but the encoder has 64 positions"):
        start_run(raw, tmp_path / "run")


def test_freezing_every_layer_one_by_one_is_refused(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config()
    raw["encoder"]["frozen_layers"] = 2
    with pytest.raises(ConfigError, match=r"encoder\.frozen_layers: 2, but the encoder has 2 layers"):
        start_run(raw, tmp_path / "run")


def test_a_task_with_a_single_row_is_refused_by_name(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(tasks=("stars",))
    write_rows(tmp_path / "train.jsonl", [{"text": "lamp", "value": 1.0}])
    with pytest.raises(DataError, match=r"train\.jsonl: task 'stars' needs at least two rows"):
        start_run(raw, tmp_path / "run")


def test_dev_rows_never_choose_the_checkpoint(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(tasks=("stars",), rows=24)
    before = start_run(raw, tmp_path / "one").trainer._selection["stars"]
    write_rows(tmp_path / "dev.jsonl", [{"text": "lamp", "value": 1.0}])
    after = start_run(raw, tmp_path / "two").trainer._selection["stars"]
    assert before.sequences == after.sequences


def test_epochs_count_passes_over_the_examples_of_all_tasks(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(rows=24, steps=None, epochs=2, batch_size=4, evaluate_every=None)
    raw["selection"] = {"fraction": 0.25}  # leaves 18 rows of each of three tasks
    one_task = start_run(raw, tmp_path / "one").trainer.settings
    assert (one_task.steps, one_task.evaluate_every) == (27, 2)
    raw["training"] |= {"gradient_accumulation": 3}
    assert start_run(raw, tmp_path / "two").trainer.settings.steps == 9
    raw["training"] |= {"gradient_accumulation": 1, "batches": "metabatch"}
    assert start_run(raw, tmp_path / "three").trainer.settings.steps == 9
