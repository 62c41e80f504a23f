"""Heads added to a trained encoder: from a run, and from a bundle's graph."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.joining import encoder_fingerprint
from export.manifest import Manifest, read_manifest
from tests.support.growing import NEW_TASKS, grow, growing_config
from tests.support.processes import kill_when, start
from tests.support.tiny import write_config
from training.__main__ import main
from training.assembly.trained import TrainedModel, load_model
from training.batches import pad
from training.checkpoint import MODEL_FILE, RunFolder, resolve_checkpoint
from training.encoding import LAST_HIDDEN_STATE
from training.graph_encoder import open_bundled_encoder
from training.tokenization import encode_texts

TEXTS = ["a", "where is my parcel", "the blue lamp arrived broken and I want my money back today please"]


@pytest.fixture(scope="module")
def trained(tiny_run: Path) -> TrainedModel:
    return load_model(tiny_run)


@pytest.fixture(scope="module")
def from_run(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, tiny_encoder: Path) -> Path:
    return grow(tmp_path_factory.mktemp("from_run"), tiny_run, tiny_encoder)


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:
    return read_manifest(tiny_bundle)


def test_a_bundles_graph_reads_what_the_torch_model_reads(tiny_bundle: Path, trained: TrainedModel) -> None:
    batch = pad(encode_texts(trained.tokenizer, [*TEXTS, TEXTS[0]]), pad_token_id=0)
    readings = ["mean", LAST_HIDDEN_STATE, "cls"]
    with torch.inference_mode():
        expected = trained.model.encoder.read(batch, readings)
    found = open_bundled_encoder(tiny_bundle).read(batch, readings)
    real = batch.attention_mask.bool()
    for reading in readings:
        tokens = (real,) if reading == LAST_HIDDEN_STATE else ()
        torch.testing.assert_close(found[reading][tokens], expected[reading][tokens], atol=1e-5, rtol=0)


@pytest.mark.parametrize("source", ["run", "bundle"])
def test_new_heads_learn_on_the_very_same_encoder(
    source: str, from_run: Path, grown_run: Path, trained: TrainedModel, manifest: Manifest
) -> None:
    grown = load_model(from_run if source == "run" else grown_run)
    assert tuple(grown.tasks) == NEW_TASKS
    assert encoder_fingerprint(grown) == manifest.encoder.fingerprint
    assert set(grown.metrics["dev"]) == set(NEW_TASKS)
    weights = load_file(grown.checkpoint / MODEL_FILE)
    kept = {name for name in weights if name.startswith("encoder.")}
    if source == "bundle":
        assert kept == set()
    for name in kept:
        assert torch.equal(weights[name], trained.model.state_dict()[name])


def test_heads_from_the_run_and_from_its_bundle_are_the_same_but_for_rounding(
    from_run: Path, grown_run: Path
) -> None:
    found, expected = (load_file(resolve_checkpoint(run) / MODEL_FILE) for run in (grown_run, from_run))
    assert set(found) == {name for name in expected if not name.startswith("encoder.")}
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], atol=1e-4, rtol=0)


def test_a_grown_run_outlives_its_bundle(tmp_path: Path, tiny_bundle: Path, grown_run: Path) -> None:
    checkpoint = resolve_checkpoint(grown_run)
    for file in ("encoder.onnx", "encoder.weights"):
        assert (checkpoint / "encoder" / file).read_bytes() == (tiny_bundle / file).read_bytes()
    assert main(["evaluate", str(grown_run)]) == 0


def refused(config: dict[str, Any], source: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    folder.mkdir()
    file = write_config(folder / "file.yaml", config)
    arguments = ["fit", str(file), "--from", str(source), "--add", "tone", "--output", str(folder / "run")]
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_what_a_bundle_cannot_give_a_head_is_refused(
    tmp_path: Path, tiny_bundle: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = growing_config(tmp_path, tiny_encoder)
    config["tasks"]["tone"] |= {"head": {"type": "linear"}, "pooling": "max"}
    message = refused(config, tiny_bundle, tmp_path / "pooling", capsys)
    assert "pooling: 'max', but the bundle's encoder graph has cls, mean" in message
    config["tasks"]["tone"] = config["tasks"]["tone"] | {"head": {"type": "sub_encoder"}, "pooling": "mean"}
    message = refused(config, tiny_bundle, tmp_path / "head", capsys)
    assert "tasks.tone.head: it takes its shape from the encoder's configuration" in message
    assert "sub_encoder with num_heads" in message


def test_a_source_whose_encoder_has_other_weights_is_named(
    tmp_path: Path, tiny_run: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(tiny_run, tmp_path / "copy"))
    file = resolve_checkpoint(copy) / MODEL_FILE
    weights = load_file(file)
    save_file({f"{name}.x" if ".pooler." in name else name: w for name, w in weights.items()}, file)
    message = refused(growing_config(tmp_path, tiny_encoder), copy, tmp_path / "grown", capsys)
    assert f"{resolve_checkpoint(copy)} is damaged: Error(s) in loading state_dict" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--add", "tone"], "add --from"),
        (["--joint"], "add --from"),
        (["--replay", "0.5"], "add --from"),
        (["--from", "runs/there"], "--from needs --add TASK"),
    ],
)
def test_flags_that_need_each_other_are_told(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "file.yaml", "--output", "run", *flags])
    assert message in capsys.readouterr().err


def test_growing_says_what_comes_next(
    tmp_path: Path,
    tiny_bundle: Path,
    tiny_encoder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundles" / "tiny").mkdir(parents=True)
    file = write_config(tmp_path / "grown.yaml", growing_config(tmp_path, tiny_encoder, steps=1))
    run = tmp_path / "run"
    given = ["--from", str(tiny_bundle), "--add", "tone", "--output", str(run)]
    assert main(["fit", str(file), *given]) == 0
    shown = capsys.readouterr().out
    assert "MB of encoder outputs (mean) stored\n" in shown
    assert f"Next: python -m export {run} --into {tiny_bundle} --output bundles/tiny_2\n" in shown


@pytest.mark.integration
def test_a_killed_growth_resumes_and_ends_as_if_never_killed(
    tmp_path: Path, tiny_bundle: Path, tiny_encoder: Path
) -> None:
    whole = grow(tmp_path, tiny_bundle, tiny_encoder, steps=60, evaluate_every=10)
    killed = tmp_path / "killed"
    command = ["training", "fit", tmp_path / "grown.yaml", "--from", tiny_bundle, "--add", *NEW_TASKS,
               "--output", killed, "--resume"]  # fmt: skip
    kill_when(start(command), lambda: RunFolder(killed).index is not None)
    assert (killed / "encodings").exists()
    assert main([str(part) for part in command[1:]]) == 0
    assert not (killed / "encodings").exists()
    assert RunFolder(killed).index == RunFolder(whole).index
    found, expected = (load_file(resolve_checkpoint(run) / MODEL_FILE) for run in (killed, whole))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
