"""A bundle with every precision: what is in it, what was measured, and what is thrown away."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.bundle import export_bundle, stages_of
from export.manifest import Manifest, Pooling, Precision, read_manifest
from export.packing import pack_rows
from export.precisions.build import LEAST_TOLERANCE, PrecisionWishes
from export.precisions.int8 import quantize_int8
from export.sessions import Graph
from export.verify import verify_bundle
from training.assembly.trained import TrainedModel
from training.tokenization import TokenSequence, encode_texts

COMPANY = (24, 40, 72)
"""Row lengths: alone or with one, two or more others."""


@pytest.fixture(scope="module")
def reduced(reduced_bundle: Path) -> Manifest:
    return read_manifest(reduced_bundle)


@pytest.fixture(scope="module")
def sequences(trained: TrainedModel) -> list[TokenSequence]:
    from tests.support.tiny import tiny_rows

    return encode_texts(trained.tokenizer, [row["text"] for row in tiny_rows(80, seed=5)])


def vectors(
    bundle: Path, manifest: Manifest, precision: Precision, sequences: list[TokenSequence], row_len: int
) -> dict[Pooling, np.ndarray]:
    rows = pack_rows(sequences, row_len=row_len, position_offset=0, pad_token_id=0)
    outputs = Graph(bundle / manifest.encoder.graphs[precision].file).run(rows.feed(manifest.encoder))
    return {pooling: outputs[pooling.output_name] for pooling in manifest.encoder.poolings}


def test_every_kept_graph_is_listed_and_verified(reduced_bundle: Path, reduced: Manifest) -> None:
    assert list(reduced.encoder.graphs) == [Precision.FP32, Precision.INT8, Precision.FP16]
    deviations = verify_bundle(reduced_bundle).deviations
    assert deviations.keys() == reduced.encoder.graphs.keys()
    for precision, graph in reduced.encoder.graphs.items():
        assert graph.file in reduced.files
        assert max(deviations[precision].values()) <= graph.tolerance
    assert reduced.encoder.graphs[Precision.FP16].tolerance == pytest.approx(LEAST_TOLERANCE)


def test_fp32_on_dev_by_onnx_runtime_is_what_torch_measured(reduced: Manifest, trained: TrainedModel) -> None:
    assert reduced.precisions is not None
    found = reduced.precisions.reports[Precision.FP32].metrics
    for name, metrics in found.items():
        dev = trained.metrics["dev"][name]
        assert metrics == pytest.approx({metric: dev[metric] for metric in metrics}, abs=1e-4)
        assert reduced.precisions.rows[name] == 20


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FP16])
def test_a_reduced_encoder_says_nearly_the_same(
    reduced_bundle: Path, reduced: Manifest, sequences: list[TokenSequence], precision: Precision
) -> None:
    exact = vectors(reduced_bundle, reduced, Precision.FP32, sequences, COMPANY[0])
    found = vectors(reduced_bundle, reduced, precision, sequences, COMPANY[0])
    for pooling, expected in exact.items():
        products = (found[pooling] * expected).sum(axis=1)
        norms = np.linalg.norm(found[pooling], axis=1) * np.linalg.norm(expected, axis=1)
        assert (products / norms).min() > 0.98


def test_int8_gives_a_text_the_same_vector_in_any_company(
    reduced_bundle: Path, reduced: Manifest, sequences: list[TokenSequence]
) -> None:
    alone, *packed = (
        vectors(reduced_bundle, reduced, Precision.INT8, sequences, row_len) for row_len in COMPANY
    )
    for found in packed:
        for pooling, expected in alone.items():
            gaps = np.abs(found[pooling] - expected).max(axis=1)
            assert (gaps <= 1e-3).mean() >= 0.98, "the bound that is promised; here it is all of them"


def test_the_card_shows_the_evidence(reduced_bundle: Path, reduced: Manifest) -> None:
    card = (reduced_bundle / "MODEL_CARD.md").read_text()
    assert "| task | metric | dev rows | fp32 | int8 | fp16 |" in card
    assert reduced.precisions is not None
    for report in reduced.precisions.reports.values():
        assert report.reason in card


def blank(model: onnx.ModelProto, *arguments: object) -> onnx.ModelProto:
    """An int8 graph that has forgotten everything."""
    small = quantize_int8(model, *arguments)  # type: ignore[arg-type]
    for tensor in small.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:
            zeros = np.zeros(tensor.dims, dtype=np.int8)
            tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
    return small


def overflowing(model: onnx.ModelProto, *_: object) -> onnx.ModelProto:
    """A graph whose outputs are no numbers."""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 1:
            none = np.full(tensor.dims, np.nan, dtype=np.float32)
            tensor.CopyFrom(numpy_helper.from_array(none, tensor.name))
    return model


@pytest.mark.parametrize("quantize", [blank, overflowing])
def test_a_precision_that_loses_too_much_is_thrown_away_with_its_reason(
    tiny_run: Path,
    tmp_path: Path,
    copied_graphs: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    quantize: Callable[..., onnx.ModelProto],
) -> None:
    monkeypatch.setattr("export.precisions.build.quantize_int8", quantize)
    wishes = PrecisionWishes(precisions=(Precision.INT8,), max_rows=7)
    stages: list[str] = []
    manifest = export_bundle(tiny_run, tmp_path / "b", version="1", wishes=wishes, report=stages.append)
    assert tuple(stages) == stages_of(wishes)
    assert list(manifest.encoder.graphs) == [Precision.FP32]
    assert not list((tmp_path / "b").glob("*int8*"))
    assert manifest.precisions is not None
    assert set(manifest.precisions.rows.values()) == {7}
    report = manifest.precisions.reports[Precision.INT8]
    assert not report.is_kept
    assert "points are allowed" in report.reason
    assert "int8: not kept" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
