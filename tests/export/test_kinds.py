"""A task of every kind, with every head and pooling, from training to a verified bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.golden import sample_dev
from export.inference import run_over_states
from export.manifest import (
    GOLDEN_FILE,
    BundleFileError,
    GoldenExample,
    Manifest,
    PairMode,
    Pooling,
    TagScheme,
    TaskKind,
    read_golden,
)
from export.packing import PackedRows, pack_rows
from export.precisions.dev import TaskGraph, dev_logits
from export.sessions import Graph
from export.verify import verify_bundle
from tests.export.conftest import perturb, rehash
from tests.support.tiny_kinds import LABELS, PARTS, STRIDE, TAGS
from training.assembly.trained import TrainedModel, load_model
from training.data import encode_examples, load_examples
from training.evaluation import predict_logits

OVER_STATES = ("mood", "same", "entities", "parts", "answer")
POOLED = ("issues", "stars", "close", "relevance", "answering", "next", "step")


@pytest.fixture(scope="module")
def trained(kinds_run: Path) -> TrainedModel:
    return load_model(kinds_run)


@pytest.fixture(scope="module")
def tiny_bundle(kinds_bundle: Path) -> Path:
    """In place of the session's, so that ``bundle`` and ``manifest`` are this one's."""
    return kinds_bundle


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return verify_bundle(tiny_bundle).manifest


@pytest.fixture(scope="module")
def golden(tiny_bundle: Path) -> dict[str, list[GoldenExample]]:
    examples: dict[str, list[GoldenExample]] = {}
    for example in read_golden(tiny_bundle):
        examples.setdefault(example.task, []).append(example)
    return examples


def test_every_kind_is_exported_and_verified(tiny_bundle: Path, manifest: Manifest) -> None:
    assert {task.kind for task in manifest.tasks.values()} == set(TaskKind)
    assert set(OVER_STATES) | set(POOLED) == set(manifest.tasks)
    (deviations,) = verify_bundle(tiny_bundle).deviations.values()
    assert set(deviations) == set(manifest.tasks)
    assert max(deviations.values()) < 1e-4


def test_the_manifest_says_what_each_kind_needs_to_be_served(
    manifest: Manifest, trained: TrainedModel
) -> None:
    tasks = manifest.tasks
    assert tasks["mood"].head.inputs == ("last_hidden_state", "segment_ids")
    assert tasks["mood"].pooling is None
    assert tasks["issues"].labels == tuple(LABELS)
    assert tasks["issues"].pooling is Pooling.MEAN_LAYERS
    assert tasks["issues"].thresholds == tuple(trained.metrics["calibration"]["issues"]["thresholds"])
    assert tasks["stars"].range == (0, 5)
    assert tasks["stars"].pooling is Pooling.POOLER
    assert tasks["stars"].temperature == 1.0
    assert tasks["close"].head.inputs == ("pooled_a", "pooled_b")
    assert tasks["relevance"].pair is PairMode.BI_ENCODER
    assert tasks["relevance"].pooling is Pooling.CLS_LAYERS
    assert tasks["answering"].pair is PairMode.CROSS_ENCODER
    assert tasks["entities"].scheme is TagScheme.BIO
    assert tasks["entities"].labels == tuple(TAGS)
    assert tasks["entities"].head.inputs == ("last_hidden_state",)
    assert tasks["parts"].scheme is TagScheme.PLAIN
    assert tasks["parts"].labels == tuple(PARTS)
    assert tasks["answer"].spans is not None
    assert tasks["answer"].spans.stride == STRIDE
    assert tasks["answer"].spans.no_answer_threshold is not None, "its dev has questions without an answer"
    assert tasks["answer"].head.num_outputs == 2
    assert tasks["next"].head.num_outputs == 1
    assert (tasks["next"].pair, tasks["step"].pair) == (PairMode.CROSS_ENCODER, PairMode.BI_ENCODER)
    for name, fitted in trained.metrics["calibration"].items():
        assert tasks[name].temperature == fitted["temperature"]


@pytest.mark.parametrize("name", [*OVER_STATES, *POOLED])
def test_dev_rows_through_the_graphs_have_the_logits_of_torch(
    tiny_bundle: Path, manifest: Manifest, trained: TrainedModel, name: str
) -> None:
    task, entry = trained.tasks[name], manifest.tasks[name]
    rows = encode_examples(task, load_examples(task, trained.config.tasks[name].data.dev), trained.tokenizer)
    graphs = TaskGraph(
        head=Graph(tiny_bundle / entry.head.file),
        pooling=entry.pooling,
        is_token_level=entry.kind.is_token_level,
    )
    found = dev_logits(manifest.encoder, Graph(tiny_bundle / "encoder.onnx"), graphs, rows)
    for each, expected in zip(found, predict_logits(trained.model, task, rows, batch_size=8), strict=True):
        np.testing.assert_allclose(each, expected, atol=1e-4, rtol=1e-4)


def test_architectures_are_described_for_people(manifest: Manifest) -> None:
    assert {name: task.head.architecture for name, task in manifest.tasks.items()} == {
        "mood": "1 transformer layer + max pooling + linear",
        "issues": "layer mix + linear",
        "stars": "AutoModelForSequenceClassification",
        "same": "attention pooling + linear",
        "close": "examples.custom_head.heads:BilinearHead",
        "relevance": "layer mix + cosine + linear",
        "answering": "linear",
        "entities": "AutoModelForTokenClassification",
        "parts": "1 transformer layer + linear",
        "answer": "linear",
        "next": "AutoModelForMultipleChoice",
        "step": "cosine + linear",
    }


def test_the_encoders_graph_has_the_poolings_that_heads_read(tiny_bundle: Path, manifest: Manifest) -> None:
    assert manifest.encoder.poolings == tuple(Pooling)
    outputs = Graph(tiny_bundle / "encoder.onnx").outputs
    assert outputs == ("last_hidden_state", *(pooling.output_name for pooling in Pooling))


def test_the_card_shows_calibration_before_and_after(tiny_bundle: Path, manifest: Manifest) -> None:
    card = (tiny_bundle / "MODEL_CARD.md").read_text()
    section = card.split("## Calibration")[1].split("##")[0]
    for name, task in manifest.tasks.items():
        if "ece" in task.metrics:
            before, after = task.metrics["ece"], task.metrics["ece_calibrated"]
            assert f"| {name} | {task.temperature:.3f} | {before:.4f} | {after:.4f} |" in section
        else:
            assert f"| {name} |" not in section
    assert "late 0." in section
    assert "no answer" in section


def test_golden_inputs_are_as_the_http_api_takes_them(golden: dict[str, list[GoldenExample]]) -> None:
    fields = {name: {tuple(example.input) for example in examples} for name, examples in golden.items()}
    assert fields["mood"] == fields["issues"] == fields["stars"] == {("text",)}
    assert fields["same"] == fields["close"] == {("text", "text_pair")}
    assert fields["relevance"] == fields["answering"] == {("query", "documents")}
    assert fields["entities"] == fields["parts"] == {("tokens",)}
    assert fields["answer"] == {("question", "context")}
    assert fields["next"] == {("context", "question", "choices")}
    assert fields["step"] == {("context", "choices")}


def test_golden_rows_are_one_for_each_sequence_or_token(
    golden: dict[str, list[GoldenExample]], trained: TrainedModel
) -> None:
    samples = sample_dev(trained)
    for name, examples in golden.items():
        task = trained.tasks[name]
        encoded = encode_examples(task, samples[name], trained.tokenizer)
        expected = predict_logits(trained.model, task, encoded, batch_size=64)
        for index, example in enumerate(examples):
            assert example.input == samples[name].items[index].input
            np.testing.assert_allclose(example.logits, expected[index], atol=1e-5)
            tokens = [len(sequence.input_ids) for sequence in encoded.sequences[index]]
            rows = sum(tokens) if task.kind.is_token_level else len(encoded.rows_of(index))
            assert len(example.logits) == rows
    assert any(len(example.logits) > 24 for example in golden["answer"]), "a context of several windows"
    assert all(len(e.logits) == len(e.input["documents"]) for e in golden["relevance"] + golden["answering"])
    assert all(len(e.logits) == len(e.input["choices"]) for e in golden["next"] + golden["step"])


@pytest.mark.parametrize("task", OVER_STATES)
@pytest.mark.parametrize("row_len", [24, 31, 100])
def test_a_head_over_states_answers_alike_in_any_packing(
    tiny_bundle: Path, manifest: Manifest, trained: TrainedModel, task: str, row_len: int
) -> None:
    kind, graph = trained.tasks[task].kind, Graph(tiny_bundle / "heads" / f"{task}.onnx")
    encoded = encode_examples(trained.tasks[task], sample_dev(trained)[task], trained.tokenizer)
    expected = np.concatenate(predict_logits(trained.model, trained.tasks[task], encoded, batch_size=1))
    sequences = [sequence for each in encoded.sequences for sequence in each]
    rows: PackedRows = pack_rows(sequences, row_len=row_len, position_offset=0, pad_token_id=0)
    states = Graph(tiny_bundle / "encoder.onnx").run(rows.feed(manifest.encoder), ["last_hidden_state"])
    noisy = np.where(rows.tensors["segment_ids"][..., None] < 0, np.float32(50), states["last_hidden_state"])
    found = run_over_states(graph, noisy, rows, is_token_level=kind.is_token_level)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("task", [*OVER_STATES, "close", "relevance", "next"])
def test_a_changed_head_fails_its_golden_examples(bundle: Path, task: str) -> None:
    perturb(bundle / "heads" / f"{task}.onnx")
    rehash(bundle, f"heads/{task}.onnx")
    with pytest.raises(BundleFileError, match=f"of task '{task}' deviates"):
        verify_bundle(bundle)


@pytest.mark.parametrize(
    ("task", "change", "reason"),
    [
        (
            "next",
            lambda row: row["input"].pop("choices"),
            "expected context and choices or question and choices",
        ),
        ("next", lambda row: row["input"].update(choices="one"), "choices should be a list of texts"),
        ("relevance", lambda row: row["input"].update(documents=[]), "documents should be a list of texts"),
        (
            "relevance",
            lambda row: row["input"]["documents"].pop(),
            r"\d rows of 1 logits belong to this input",
        ),
        ("entities", lambda row: row["input"].update(text="lamp"), "expected text or tokens"),
        ("entities", lambda row: row["logits"].pop(), "rows of 3 logits belong to this input, found"),
        ("answer", lambda row: row["input"].update(context=7), "context should be text"),
        (
            "answer",
            lambda row: row["input"].update(question="lamp " * 30),
            "the question has 24 tokens or more",
        ),
        ("answer", lambda row: row["logits"][-1].pop(), "rows of 2 logits belong to this input, found"),
    ],
)
def test_a_golden_example_that_fits_no_input_is_refused_with_its_reason(
    bundle: Path, task: str, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    rows = [json.loads(line) for line in (bundle / GOLDEN_FILE).read_text().splitlines()]
    change(next(row for row in rows if row["task"] == task))
    (bundle / GOLDEN_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    rehash(bundle, GOLDEN_FILE)
    with pytest.raises(BundleFileError, match=rf"golden example \d+ of task '{task}'.*{reason}"):
        verify_bundle(bundle)
