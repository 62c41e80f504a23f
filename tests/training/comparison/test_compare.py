"""The command, with real processes: a study, its resumption from results, a finished run's tasks."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn.modules.module import register_module_forward_hook
from transformers import BertModel

from tests.support.tiny import write_config
from training.__main__ import main
from training.checkpoint import RunFolder, read_metrics
from training.comparison.planning import planned_variants
from training.comparison.results import ResultsFolder, RunResult
from training.comparison.study import study_of
from training.comparison.training_run import measure_speed, train_planned
from training.config.file import parse_config

SmallConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def study(small_config: SmallConfig, tmp_path: Path) -> Path:
    base = small_config(tasks=("sentiment", "stars"), steps=4, batches="metabatch", conflict_probe=True)
    write_config(tmp_path / "base.yaml", base)
    variants = [{"name": "plain"}, {"name": "pcgrad", "training": {"aggregation": "pcgrad"}}]
    fields = {"name": "methods", "base": "base.yaml", "variants": variants}
    return write_config(tmp_path / "study.yaml", fields)


def results_in(folder: Path) -> dict[str, RunResult]:
    return ResultsFolder(folder / "results").read()


def test_a_study_is_trained_reported_and_resumed_from_its_results_alone(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "compared"
    assert main(["compare", str(study), "--output", str(output), "--jobs", "2"]) == 0
    found = results_in(output)
    assert set(found) == {"plain.seed0", "pcgrad.seed0", "alone.sentiment.seed0", "alone.stars.seed0"}
    assert found["pcgrad.seed0"].batches == {"sentiment": 4, "stars": 4}
    assert found["alone.stars.seed0"].batches == {"stars": 4}
    assert [point.step for point in found["pcgrad.seed0"].history] == [4]
    assert set(found["pcgrad.seed0"].history[0].cosines) == {"sentiment/stars"}
    assert set(found["alone.stars.seed0"].dev) == {"stars"}
    trained = {name: each.parameters or 0 for name, each in found.items()}
    assert trained["pcgrad.seed0"] > trained["alone.stars.seed0"] > 0, "a head more"
    assert not list(output.glob("runs/*/checkpoints")), "checkpoints go when their result is there"
    shown = capsys.readouterr().out
    assert "methods: 1 of 1 runs to train, 2 at once; about " in shown
    assert "| pcgrad | 1 |" in (output / "report.md").read_text()

    clone = tmp_path / "clone"
    shutil.copytree(output / "results", clone / "results")
    raw = yaml.safe_load(study.read_text())
    raw["variants"][1]["training"]["aggregation"] = "upgrad"
    study.write_text(yaml.safe_dump(raw))
    before = {file.name: file.read_bytes() for file in (clone / "results").iterdir()}
    assert main(["compare", str(study), "--output", str(clone)]) == 0
    shown = capsys.readouterr().out
    assert "pcgrad.seed0: its result is of another configuration or of other data; again." in shown
    assert "1/1 pcgrad.seed0: sentiment " in shown
    after = {file.name: file.read_bytes() for file in (clone / "results").iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["pcgrad.seed0.json"]


def test_a_finished_runs_tasks_get_as_many_batches_alone_as_they_had_jointly(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "joint"
    file = write_config(tmp_path / "small.yaml", small_config(tasks=("sentiment", "stars"), steps=6))
    assert main(["fit", str(file), "--output", str(run)]) == 0
    assert main(["compare", str(run), "--tasks", "stars"]) == 0
    assert set(results_in(run / "comparison")) == {"joint.seed0", "alone.stars.seed0"}
    assert main(["compare", str(run), "--keep-runs"]) == 0
    index = RunFolder(run).index
    assert index is not None
    batches = read_metrics(RunFolder(run).folder(index.last))["batches"]
    found = results_in(run / "comparison")
    assert sum(batches.values()) == 6
    assert found["joint.seed0"].batches == batches
    assert found["alone.sentiment.seed0"].batches == {"sentiment": max(1, batches["sentiment"])}
    assert (run / "comparison" / "runs" / "alone.sentiment.seed0" / "checkpoints").is_dir()
    table = (run / "comparison" / "report.md").read_text()
    assert "| task | metric | batches | joint | alone | gain | transfer |" in table
    assert "| sentiment | accuracy |" in table
    capsys.readouterr()
    assert main(["compare", str(run), "--tasks", "moods"]) == 2
    assert "no task moods; it has sentiment, stars" in capsys.readouterr().err


def test_a_run_that_was_kept_is_trained_again_when_its_data_have_changed(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(tasks=("sentiment",), steps=2)

    def trained() -> RunResult:
        (run,) = planned_variants(study_of(parse_config(raw)))
        folders = tmp_path / run.name, tmp_path / "encodings"
        found = train_planned(run, *folders, True, lambda _: None)
        assert found.config_sha256 == run.config_sha256
        return found

    before = trained()
    assert trained() == before, "as it was kept"
    dev = tmp_path / "dev.jsonl"
    dev.write_text(dev.read_text().replace('"mood": "bad"', '"mood": "good"'))
    after = trained()
    assert after.config_sha256 != before.config_sha256
    assert after.dev != before.dev


def test_a_finished_run_whose_data_have_changed_is_not_compared(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config(tasks=("sentiment",), steps=2)
    run = tmp_path / "run"
    assert main(["fit", str(write_config(tmp_path / "small.yaml", raw)), "--output", str(run)]) == 0
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write("\n")
    assert main(["compare", str(run)]) == 2
    assert f"other contents of {tmp_path / 'train.jsonl'}." in capsys.readouterr().err


def test_the_speed_of_a_frozen_encoders_run_is_that_of_its_heads(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(tasks=("sentiment", "stars"))
    raw["encoder"]["train"] = "frozen"
    encoded: list[bool] = []

    def note(module: object, *_: object) -> None:
        if isinstance(module, BertModel):
            encoded.append(torch.is_inference_mode_enabled())

    with register_module_forward_hook(note):
        speed = measure_speed(parse_config(raw), tmp_path / "encodings", lambda _: None)
    assert encoded, "once for all"
    assert all(encoded), "and in no step"
    assert set(speed.dev_rows) == {"sentiment", "stars"}


def test_a_run_that_fails_ends_no_other_and_is_named(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = yaml.safe_load(study.read_text())
    raw["single_task"] = False
    raw["variants"] = [
        {"name": "plain"},
        {"name": "gone", "encoder": {"model": "./no/such/weights"}},
    ]
    study.write_text(yaml.safe_dump(raw))
    assert main(["compare", str(study), "--output", str(tmp_path / "compared")]) == 1
    shown = capsys.readouterr().out
    assert "gone.seed0: failed: No folder ./no/such/weights" in shown
    assert set(results_in(tmp_path / "compared")) == {"plain.seed0"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--output FOLDER"),
        (["--output", "{folder}/new", "--report"], "no result of plain, the baseline"),
    ],
)
def test_what_cannot_be_compared_is_a_one_line_error(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    given = [each.replace("{folder}", str(tmp_path)) for each in arguments]
    assert main(["compare", str(study), *given]) == 2
    assert expected in capsys.readouterr().err


def test_comparing_what_is_not_finished_is_a_one_line_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
