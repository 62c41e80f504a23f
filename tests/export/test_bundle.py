import json
import pickletools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export.bundle import STAGES, export_bundle
from export.errors import ExportError, ParityError
from export.manifest import Manifest, Pooling, Precision, read_manifest, verify_files
from export.packing import pack_rows
from export.sessions import Graph
from export.staging import STAGING_PREFIX
from export.verify import verify_bundle
from tests.support.processes import kill_when, start
from tests.support.tiny import tiny_config, write_config
from training.__main__ import main as training_main
from training.assembly.trained import TrainedModel, load_model
from training.checkpoint import read_metrics, write_metrics
from training.tokenization import encode_texts

Perturb = Callable[[str], None]


@pytest.fixture
def copied_run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def files_of(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_a_bundle_holds_what_the_design_lists_and_nothing_else(tiny_bundle: Path, manifest: Manifest) -> None:
    heads = {f"heads/{task}.onnx" for task in manifest.tasks}
    encoder = {"encoder.onnx", "encoder.weights"}
    listed = {"tokenizer.json", "golden.jsonl", "MODEL_CARD.md", *encoder, *heads}
    assert files_of(tiny_bundle) == {"manifest.json", *listed}
    assert set(manifest.files) == listed
    verify_files(tiny_bundle, manifest)


def test_a_bundle_holds_no_pickle(tiny_bundle: Path) -> None:
    for file in tiny_bundle.rglob("*"):
        if file.is_file():
            assert file.suffix in {".json", ".jsonl", ".md", ".onnx", ".weights"}
            with pytest.raises((ValueError, IndexError)):
                list(pickletools.genops(file.read_bytes()))


def test_a_graph_reads_nothing_but_the_weights_that_the_manifest_names(
    tiny_bundle: Path, manifest: Manifest
) -> None:
    named = {graph.file: graph.weights for graph in manifest.encoder.graphs.values()}
    assert named == {"encoder.onnx": "encoder.weights"}
    for graph in tiny_bundle.rglob("*.onnx"):
        tensors = onnx.load(graph, load_external_data=False).graph.initializer
        read = {entry.value for each in tensors for entry in each.external_data if entry.key == "location"}
        assert read == ({"encoder.weights"} if graph.name == "encoder.onnx" else set())


def test_the_manifest_describes_encoder_and_tasks_as_trained(
    manifest: Manifest, trained: TrainedModel
) -> None:
    encoder = manifest.encoder
    assert (encoder.model_type, encoder.hidden_size, encoder.num_layers) == ("bert", 32, 2)
    assert (encoder.max_length, encoder.position_offset, encoder.pad_token_id) == (24, 0, 0)
    assert encoder.poolings == (Pooling.CLS, Pooling.MEAN), "what heads read, and two that cost nothing"
    assert list(encoder.graphs) == [Precision.FP32]
    assert list(manifest.tasks) == list(trained.tasks)
    for name, task in manifest.tasks.items():
        assert task.labels == trained.tasks[name].kind.labels
        assert task.pooling == trained.model.poolings[name]
        assert task.metrics == trained.metrics["dev"][name]
    assert manifest.tasks["stars"].range == (0, 5)
    assert manifest.tasks["topic"].pooling == "cls"
    assert manifest.tasks["duplicate"].head.inputs == ("pooled_a", "pooled_b")
    assert manifest.tasks["duplicate"].input_fields == ("text", "text_pair")


def test_every_head_of_a_run_shares_one_fingerprint(manifest: Manifest) -> None:
    assert {task.head.encoder_fingerprint for task in manifest.tasks.values()} == {
        manifest.encoder.fingerprint
    }


def test_the_tokenizer_truncates_as_in_training_and_never_pads(tiny_bundle: Path, manifest: Manifest) -> None:
    raw = json.loads((tiny_bundle / "tokenizer.json").read_text())
    assert raw["padding"] is None
    assert raw["truncation"]["max_length"] == manifest.encoder.max_length


def test_the_card_mentions_every_task_with_its_metrics_data_and_parity(
    tiny_bundle: Path, manifest: Manifest, trained: TrainedModel
) -> None:
    card = (tiny_bundle / "MODEL_CARD.md").read_text()
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    for name, task in manifest.tasks.items():
        (row,) = [line for line in rows if line.startswith(f"| {name} | {task.kind}")]
        shown = {metric: value for metric, value in task.metrics.items() if not metric.startswith("ece")}
        assert all(f"{metric} {value:.4f}" in row for metric, value in shown.items())
        assert f"| head of {name} |" in card
        assert f"| {name} | `{trained.config.tasks[name].data.train}`" in card
    assert manifest.encoder.fingerprint in card


def test_stages_are_reported_in_their_order(
    tiny_run: Path, tmp_path: Path, copied_graphs: Perturb, manifest: Manifest
) -> None:
    stages: list[str] = []
    again = export_bundle(tiny_run, tmp_path / "bundle", version="2", name="renamed", report=stages.append)
    assert tuple(stages) == STAGES
    assert (again.name, again.version) == ("renamed", "2")
    assert again.encoder == manifest.encoder
    assert read_manifest(tmp_path / "bundle") == again
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("graph", ["encoder.onnx", "heads/similarity.onnx"])
def test_a_failed_check_leaves_neither_bundle_nor_staging(
    tiny_run: Path, tmp_path: Path, copied_graphs: Perturb, graph: str
) -> None:
    copied_graphs(graph)
    with pytest.raises(ParityError):
        export_bundle(tiny_run, tmp_path / "bundle", version="1")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_neither_bundle_nor_staging(
    tiny_run: Path, tmp_path: Path, copied_graphs: Perturb
) -> None:
    def interrupt(stage: str) -> None:
        if stage == STAGES[-1]:
            assert (tmp_path / f"{STAGING_PREFIX}bundle" / "manifest.json").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(tiny_run, tmp_path / "bundle", version="1", report=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused_and_left_alone(tiny_run: Path, bundle: Path) -> None:
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(ExportError, match="already exists"):
        export_bundle(tiny_run, bundle, version="2")
    assert (bundle / "manifest.json").read_bytes() == before


def test_a_run_without_dev_metrics_is_refused_with_the_command_to_run(
    copied_run: Path, tmp_path: Path
) -> None:
    checkpoint = load_model(copied_run).checkpoint
    metrics = read_metrics(checkpoint)
    write_metrics(checkpoint, {name: value for name, value in metrics.items() if name != "dev"})
    with pytest.raises(
        ExportError, match=f"has no dev metrics. Run: python -m training evaluate {copied_run}"
    ):
        export_bundle(copied_run, tmp_path / "bundle", version="1")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("version", "name"), [("1.0 beta", None), ("", None), ("1", "my/model"), ("-1", None)]
)
def test_a_name_the_manifest_would_refuse_is_refused_before_the_work(
    tmp_path: Path, version: str, name: str | None
) -> None:
    with pytest.raises(ExportError, match=r"A bundle's (version|name) is letters, digits"):
        export_bundle(tmp_path / "no-run", tmp_path / "bundle", version=version, name=name)


def test_dev_data_that_has_gone_is_refused_by_task_and_file(
    copied_run: Path, tmp_path: Path, copied_graphs: Perturb
) -> None:
    config = load_model(copied_run).checkpoint / "config.yaml"
    dev = load_model(copied_run).config.tasks["topic"].data.dev
    config.write_text(config.read_text().replace(str(dev), str(tmp_path / "gone.jsonl")))
    with pytest.raises(ExportError, match=r"those of 'sentiment' cannot be read: .*gone\.jsonl"):
        export_bundle(copied_run, tmp_path / "bundle", version="1")


@pytest.mark.integration
def test_an_export_killed_at_any_moment_leaves_no_bundle_and_a_later_one_succeeds(
    tiny_run: Path, tmp_path: Path, copied_graphs: Perturb
) -> None:
    output, staging = tmp_path / "bundle", tmp_path / f"{STAGING_PREFIX}bundle"
    for moment in (staging / "encoder.onnx", staging / "manifest.json"):
        kill_when(start(["export", tiny_run, "--output", output]), moment.exists)
        assert not output.exists()
        assert staging.exists(), "what a kill leaves has no bundle's name"
    export_bundle(tiny_run, output, version="1")
    verify_bundle(output)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.slow
def test_the_packaged_minilm_exports_with_parity_and_matches_transformers_mean_pooling(
    tmp_path: Path,
) -> None:
    raw = tiny_config(tmp_path, Path("unused"), rows=16)
    raw["encoder"] = {"model": "sentence-transformers/all-MiniLM-L6-v2", "max_length": 64, "train": "frozen"}
    raw["tasks"] = {name: raw["tasks"][name] for name in ("sentiment", "similarity")}
    raw["training"] = {"steps": 2, "batch_size": 4}
    file = write_config(tmp_path / "minilm.yaml", raw)
    assert training_main(["fit", str(file), "--output", str(tmp_path / "run")]) == 0
    manifest = export_bundle(tmp_path / "run", tmp_path / "bundle", version="1")

    trained = load_model(tmp_path / "run")
    texts = ["Hello world", "Where is my order? It was due on Monday.", "a " * 200, "Ünïcode 東京 🙂"]
    sequences = encode_texts(trained.tokenizer, texts)
    rows = pack_rows(sequences, row_len=100, position_offset=0, pad_token_id=manifest.encoder.pad_token_id)
    pooled = Graph(tmp_path / "bundle" / "encoder.onnx").run(rows.feed(manifest.encoder))["pooled_mean"]
    with torch.inference_mode():
        for found, sequence in zip(pooled, sequences, strict=True):
            states = trained.model.encoder.backbone(torch.tensor([sequence.input_ids])).last_hidden_state
            np.testing.assert_allclose(found, states[0].mean(dim=0).numpy(), atol=1e-4)
