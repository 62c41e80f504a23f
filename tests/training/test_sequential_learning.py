"""Known and new tasks together, from a trained run's weights: replay, and what known tasks lost."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.growing import growing_config
from tests.support.tiny import write_config
from tests.training.conftest import Recorder, start_run
from training.__main__ import main
from training.assembly.trained import TrainedModel, load_model
from training.checkpoint import read_metrics, resolve_checkpoint, write_metrics
from training.commands.growing import _before
from training.config.file import parse_config
from training.data import encode_examples, load_dev
from training.evaluation import predict_logits
from training.identity import identity_of
from training.sources import find_source

KNOWN = ("sentiment", "stars")


@pytest.fixture(scope="module")
def trained(tiny_run: Path) -> TrainedModel:
    return load_model(tiny_run)


def joint_config(folder: Path, encoder: Path, trained: TrainedModel, **training: Any) -> dict[str, Any]:
    """Two known tasks, as they were, and a new one."""
    raw = growing_config(folder, encoder, **training)
    raw["tasks"] = {name: raw["tasks"][name] for name in (*KNOWN, "tone")}
    for name in KNOWN:
        raw["tasks"][name]["data"] = trained.config.tasks[name].data.model_dump()
    return raw


def test_a_joint_run_begins_exactly_where_the_source_ended(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, trained: TrainedModel
) -> None:
    raw = joint_config(tmp_path, tiny_encoder, trained)
    raw["growth"] = {"source": str(tiny_run), "add": ["tone"], "joint": True}
    model = start_run(raw, tmp_path / "run").trainer.model
    expected, found = trained.model.state_dict(), model.state_dict()
    carried = [name for name in found if not name.startswith("heads.tone")]
    assert any(name.startswith("heads.stars") for name in carried)
    for name in carried:
        assert torch.equal(found[name], expected[name]), name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_known_tasks_get_their_declared_share_of_the_batches(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, trained: TrainedModel
) -> None:
    raw = joint_config(tmp_path, tiny_encoder, trained)
    raw["growth"] = {"source": str(tiny_run), "add": ["tone"], "joint": True, "replay": 0.25}
    sampler = start_run(raw, tmp_path / "run").trainer._sampler
    assert sum(sampler.probabilities[name] for name in KNOWN) == pytest.approx(0.25)
    counts = Counter(name for _ in range(2000) for name in sampler.draw())
    assert counts["tone"] / 2000 == pytest.approx(0.75, abs=0.04)


def test_forgetting_and_the_gap_to_heads_alone_are_reported(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, trained: TrainedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = write_config(tmp_path / "joint.yaml", joint_config(tmp_path, tiny_encoder, trained))
    given = ["fit", str(file), "--from", str(tiny_run), "--add", "tone"]
    assert main([*given, "--output", str(tmp_path / "runs" / "alone")]) == 0
    assert "heads alone" not in capsys.readouterr().out
    joint = tmp_path / "runs" / "joint"
    assert main([*given, "--joint", "--replay", "0.5", "--output", str(joint)]) == 0
    shown = capsys.readouterr().out
    before = trained.metrics["dev"]
    metrics = read_metrics(resolve_checkpoint(joint))
    assert metrics["forgetting"] == {
        task: {"metric": metric, "before": before[task][metric], "after": metrics["dev"][task][metric]}
        for task, metric in (("sentiment", "accuracy"), ("stars", "pearson"))
    }
    assert "known tasks on dev" in shown
    alone = read_metrics(resolve_checkpoint(tmp_path / "runs" / "alone"))["dev"]["tone"]["accuracy"]
    rows = [line for line in shown.splitlines() if "tone" in line and f"{alone:.4f}" in line]
    assert any(f"{metrics['dev']['tone']['accuracy'] - alone:+.4f}" in row for row in rows)


def test_known_tasks_are_compared_on_the_same_rows(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, trained: TrainedModel
) -> None:
    raw = joint_config(tmp_path, tiny_encoder, trained)
    raw["growth"] = {"source": str(tiny_run), "add": ["tone"], "joint": True}
    raw["tasks"]["stars"]["data"]["max_dev_rows"] = 4
    config, source = parse_config(raw), find_source(tiny_run)
    before = _before(config, source, identity_of(config).contents)
    assert before["sentiment"] == trained.metrics["dev"]["sentiment"]
    rows = load_dev(trained.tasks["stars"], config.tasks["stars"].data)
    encoded = encode_examples(trained.tasks["stars"], rows, trained.tokenizer)
    assert len(encoded) == 4
    logits = predict_logits(trained.model, trained.tasks["stars"], encoded, batch_size=4)
    assert before["stars"] == pytest.approx(trained.tasks["stars"].kind.measure(logits, encoded))
    assert before["stars"] != trained.metrics["dev"]["stars"]


def test_known_tasks_are_measured_again_where_their_file_has_changed(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, trained: TrainedModel
) -> None:
    copy = Path(shutil.copytree(tiny_run, tmp_path / "copy"))
    checkpoint = resolve_checkpoint(copy)
    stated = {**trained.metrics["dev"], "stars": {"pearson": 9.0}}
    write_metrics(checkpoint, {**read_metrics(checkpoint), "dev": stated})
    raw = joint_config(tmp_path, tiny_encoder, trained)
    raw["growth"] = {"source": str(copy), "add": ["tone"], "joint": True}
    config, source = parse_config(raw), find_source(copy)
    contents = identity_of(config).contents
    assert _before(config, source, contents)["stars"] == {"pearson": 9.0}
    changed = {**contents, str(config.tasks["stars"].data.dev): "changed"}
    assert _before(config, source, changed)["stars"] == pytest.approx(
        trained.metrics["dev"]["stars"], abs=1e-5
    )


def test_an_interrupted_joint_run_continues_exactly(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, trained: TrainedModel
) -> None:
    raw = joint_config(tmp_path, tiny_encoder, trained, steps=6, evaluate_every=2)
    raw["growth"] = {"source": str(tiny_run), "add": ["tone"], "joint": True, "replay": 0.5}
    whole, reference = Recorder(), start_run(raw, tmp_path / "whole")
    torch.manual_seed(11)
    reference.trainer.fit(whole, reference.write_checkpoint)
    killed = start_run(raw, tmp_path / "killed")
    torch.manual_seed(11)
    with pytest.raises(InterruptedError):
        killed.trainer.fit(Recorder(stop_after=3), killed.write_checkpoint)
    resumed, run = Recorder(), start_run(raw, tmp_path / "killed", resume=True)
    run.trainer.fit(resumed, run.write_checkpoint)
    assert resumed.losses == {step: losses for step, losses in whole.losses.items() if step > 2}
