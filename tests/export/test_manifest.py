import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from export.manifest import (
    SCHEMA_VERSION,
    BundleFileError,
    GoldenExample,
    Manifest,
    ManifestError,
    Precision,
    deviation,
    parse_manifest,
    read_golden,
    read_manifest,
    verify_files,
)
from tests.export.conftest import edit_manifest


def refused(manifest: Manifest, change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(manifest.model_dump_json())
    change(raw)
    with pytest.raises(ManifestError) as caught:
        parse_manifest(json.dumps(raw))
    return str(caught.value)


def test_a_manifest_survives_writing_and_reading(manifest: Manifest) -> None:
    assert parse_manifest(manifest.model_dump_json(indent=2)) == manifest


def test_metrics_that_are_no_numbers_are_left_out_of_what_is_written(manifest: Manifest) -> None:
    raw = manifest.model_dump()
    raw["tasks"]["sentiment"]["metrics"] = {"accuracy": 0.5, "matthews": math.nan}
    report = {"is_kept": True, "reason": "", "metrics": {"sentiment": {"accuracy": math.inf}}}
    raw["precisions"] = {"budget": 0.5, "rows": {"sentiment": 1}, "reports": {"fp32": report}}
    again = parse_manifest(Manifest.model_validate(raw).model_dump_json())
    assert again.tasks["sentiment"].metrics == {"accuracy": 0.5}
    assert again.precisions is not None
    assert again.precisions.reports[Precision.FP32].metrics == {"sentiment": {}}


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_another_number_that_json_does_not_have_is_refused_before_it_is_written(
    manifest: Manifest, number: float
) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Manifest.model_validate({**manifest.model_dump(), "precisions": {"budget": number}})


def test_a_newer_schema_is_refused_with_the_reason_and_the_remedy(manifest: Manifest) -> None:
    message = refused(manifest, lambda raw: raw.update(schema_version=SCHEMA_VERSION + 1, brand_new="field"))
    assert f"has schema version {SCHEMA_VERSION + 1}; this program reads up to {SCHEMA_VERSION}" in message
    assert "Update EncodeOnce, or export the bundle again" in message


def test_a_head_of_another_encoder_is_refused_by_name(manifest: Manifest) -> None:
    message = refused(
        manifest, lambda raw: raw["tasks"]["sentiment"]["head"].update(encoder_fingerprint="0" * 64)
    )
    assert "head of task 'sentiment' was trained on encoder 000000000000…" in message
    assert f"this bundle's encoder is {manifest.encoder.fingerprint[:12]}…" in message


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda raw: raw.update(surprise=1), "surprise: Extra inputs are not permitted"),
        (lambda raw: raw["encoder"].update(surprise=1), "encoder.surprise: Extra inputs"),
        (lambda raw: raw.pop("schema_version"), "has no schema_version"),
        (lambda raw: raw.update(schema_version="1"), "has no schema_version"),
        (lambda raw: raw["encoder"]["graphs"].clear(), "encoder.graphs has no fp32 graph"),
        (lambda raw: raw["encoder"].update(poolings=["cls"]), "expected one of"),
        (lambda raw: raw["encoder"].update(poolings=["cls"], default_pooling="cls"), "reads pooling mean"),
        (lambda raw: raw["tasks"].update({"Bad Name": raw["tasks"]["sentiment"]}), "tasks.Bad Name"),
        (lambda raw: raw["tasks"]["sentiment"].update(pair="bi_encoder"), "kind classification and pair"),
        (lambda raw: raw["tasks"]["sentiment"].update(labels=None), "kind classification and labels None"),
        (lambda raw: raw["tasks"]["sentiment"].update(labels=["a", "b"]), "head has 3 outputs, expected 2"),
        (lambda raw: raw["tasks"]["sentiment"].update(labels=["a", "a", "b"]), "name a more than once"),
        (
            lambda raw: raw["encoder"].update(
                poolings=["mean", "cls", "cls_layers"], default_pooling="cls_layers"
            ),
            "no single vector",
        ),
        (lambda raw: raw.update(created_at="yesterday"), "created_at: Input should be a valid datetime"),
        (lambda raw: raw.update(created_at="2026-11-26T00:00:00"), "created_at: Input should have timezone"),
        (lambda raw: raw["tasks"].clear(), "tasks: Dictionary should have at least 1 item"),
        (lambda raw: raw["files"].pop("encoder.onnx"), "encoder.onnx is used but not listed under files"),
        (lambda raw: raw["files"].pop("heads/topic.onnx"), "heads/topic.onnx is used but not listed"),
        (lambda raw: raw["files"].pop("golden.jsonl"), "golden.jsonl is used but not listed"),
    ],
)
def test_a_contradiction_is_refused_with_its_place(
    manifest: Manifest, change: Callable[[dict[str, Any]], object], part: str
) -> None:
    assert part in refused(manifest, change)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"schema_version": 1}'])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        parse_manifest(text)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read"):
        read_manifest(tmp_path)


def test_an_intact_bundle_passes(bundle: Path, manifest: Manifest) -> None:
    verify_files(bundle, manifest)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def link(file: Path) -> None:
    elsewhere = file.rename(file.with_suffix(".elsewhere"))
    file.symlink_to(elsewhere)


@pytest.mark.parametrize("name", ["encoder.onnx", "heads/sentiment.onnx", "tokenizer.json", "MODEL_CARD.md"])
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (Path.unlink, "missing"),
        (truncate, "bytes, expected"),
        (flip_a_bit, "sha256"),
        (link, "a symbolic link"),
    ],
)
def test_a_damaged_file_is_named(
    bundle: Path, manifest: Manifest, name: str, damage: Callable[[Path], object], fault: str
) -> None:
    damage(bundle / name)
    with pytest.raises(BundleFileError) as caught:
        verify_files(bundle, manifest)
    assert f"{name}: " in str(caught.value)
    assert fault in str(caught.value)


def test_every_damaged_file_is_named_at_once(bundle: Path, manifest: Manifest) -> None:
    (bundle / "encoder.onnx").unlink()
    truncate(bundle / "tokenizer.json")
    with pytest.raises(
        BundleFileError, match=r"(?=.*encoder\.onnx: missing)(?=.*tokenizer\.json: \d+ bytes)"
    ):
        verify_files(bundle, manifest)


def test_a_folder_that_is_a_link_is_refused(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    (bundle / "heads").rename(tmp_path / "heads")
    (bundle / "heads").symlink_to(tmp_path / "heads")
    with pytest.raises(BundleFileError, match=r"heads/sentiment\.onnx: a symbolic link"):
        verify_files(bundle, manifest)


@pytest.mark.parametrize("name", ["../outside.bin", "heads/../../outside.bin", "/etc/hostname"])
def test_a_path_that_leaves_the_bundle_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "outside.bin").write_bytes(b"x")
    entry = {"sha256": "0" * 64, "size_bytes": 1}
    edit_manifest(bundle, lambda raw: raw["files"].update({name: entry}))
    with pytest.raises(BundleFileError, match="the path leaves the bundle"):
        verify_files(bundle, read_manifest(bundle))


def test_deviation_is_absolute_below_one_and_relative_above() -> None:
    assert deviation([0.5, 0.0], [0.4, 0.05]) == pytest.approx(0.1)
    assert deviation([1010.0], [1000.0]) == pytest.approx(0.01)
    assert deviation([-1010.0], [-1000.0]) == pytest.approx(0.01)
    assert deviation([], []) == 0


@pytest.mark.parametrize(
    ("found", "expected"), [([math.nan, 0], [0, 0]), ([0, 0], [0, math.nan]), ([math.inf], [math.inf])]
)
def test_a_deviation_that_is_no_number_passes_no_tolerance(found: list[float], expected: list[float]) -> None:
    assert not deviation(found, expected) <= 1e9


def test_vectors_of_different_length_are_no_deviation() -> None:
    with pytest.raises(ValueError, match="zip"):
        deviation([1.0], [1.0, 2.0])


@given(
    text=st.text(), logits=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4)
)
def test_golden_examples_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, text: str, logits: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("golden")
    examples = [
        GoldenExample(task="mood", input={"text": text + tail}, logits=tuple(logits))
        for tail in ("", "\u2028x")
    ]
    lines = [example.model_dump_json() + "\n" for example in examples]
    (folder / "golden.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
    assert read_golden(folder) == examples


def test_a_broken_golden_line_is_numbered(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text('{"task": "a", "input": {}, "logits": [1]}\n{"task": "a"}\n')
    with pytest.raises(BundleFileError, match=r"golden\.jsonl line 2: input: Field required"):
        read_golden(tmp_path)


def test_golden_lines_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleFileError, match=r"golden\.jsonl cannot be read: 'utf-8' codec"):
        read_golden(tmp_path)
