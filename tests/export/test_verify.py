"""Golden examples and names: what a bundle must answer before it is served."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.golden import EXAMPLES_A_TASK, sample_dev
from export.manifest import GOLDEN_FILE, BundleError, BundleFileError, Manifest, ManifestError, read_golden
from export.verify import verify_bundle
from tests.export.conftest import edit_manifest, perturb, rehash
from training.assembly.trained import TrainedModel


def edit_golden(bundle: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    examples = [json.loads(line) for line in (bundle / GOLDEN_FILE).read_text().splitlines()]
    change(examples)
    (bundle / GOLDEN_FILE).write_text("".join(json.dumps(example) + "\n" for example in examples))
    rehash(bundle, GOLDEN_FILE)


def test_a_whole_bundle_passes_within_rounding(tiny_bundle: Path, manifest: Manifest) -> None:
    verification = verify_bundle(tiny_bundle)
    assert verification.manifest == manifest
    (deviations,) = verification.deviations.values()
    assert set(deviations) == set(manifest.tasks)
    assert max(deviations.values()) < 1e-4


def test_golden_examples_are_dev_rows_of_every_task_over_all_lengths(
    tiny_bundle: Path, trained: TrainedModel
) -> None:
    golden, samples = read_golden(tiny_bundle), sample_dev(trained)
    for task, examples in samples.items():
        mine = [example for example in golden if example.task == task]
        assert [example.input for example in mine] == [example.input for example in examples]
        assert 2 <= len(mine) <= EXAMPLES_A_TASK
        sizes = [len("".join(example.input.values())) for example in mine]
        assert sizes == sorted(sizes)
        assert all(len(row) == trained.tasks[task].kind.num_outputs for each in mine for row in each.logits)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda rows: rows[0].update(logits=[9.0, 9.0, 9.0]),
            r"golden example 1 of task 'sentiment' deviates by",
        ),
        (
            lambda rows: rows[0]["input"].update(text="another text"),
            "golden example 1 of task 'sentiment' dev",
        ),
        (
            lambda rows: rows[0].update(task="nonsense"),
            r"golden example 1 of task 'nonsense': the bundle has no such",
        ),
        (
            lambda rows: rows[0].update(input={"txt": "x"}),
            r"golden example 1 of task 'sentiment': expected text",
        ),
        (
            lambda rows: rows[0].update(logits=[1.0]),
            "golden example 1 of task 'sentiment': 1 rows of 3 logits belong to this input, found 1 of 1",
        ),
        (lambda rows: rows[-1]["input"].pop("text_pair"), "of task 'overlap': expected text and text_pair"),
        (lambda rows: rows.pop(0) and rows.clear(), r"golden\.jsonl"),
        (lambda rows: rows.__delitem__(slice(0, EXAMPLES_A_TASK)), "has no example of task sentiment"),
    ],
)
def test_a_golden_example_that_is_not_repeated_is_refused_by_its_number(
    bundle: Path, change: Callable[[list[dict[str, Any]]], object], reason: str
) -> None:
    edit_golden(bundle, change)
    with pytest.raises(BundleFileError, match=reason):
        verify_bundle(bundle)


def test_a_graph_that_was_changed_with_its_hash_fails_its_golden_examples(bundle: Path) -> None:
    perturb(bundle / "heads" / "duplicate.onnx")
    rehash(bundle, "heads/duplicate.onnx")
    with pytest.raises(BundleFileError, match="of task 'duplicate' deviates"):
        verify_bundle(bundle)


def test_another_tokenizer_fails_the_golden_examples(bundle: Path) -> None:
    raw = json.loads((bundle / "tokenizer.json").read_text())
    raw["normalizer"] = None
    raw["model"]["vocab"]["lamp"], raw["model"]["vocab"]["shoe"] = 9, 9
    raw["model"]["vocab"] = {
        token: (7 if number > 6 else number) for token, number in raw["model"]["vocab"].items()
    }
    (bundle / "tokenizer.json").write_text(json.dumps(raw))
    rehash(bundle, "tokenizer.json")
    with pytest.raises(BundleFileError, match="deviates by"):
        verify_bundle(bundle)


def test_a_damaged_file_is_refused_before_any_graph_is_opened(bundle: Path) -> None:
    (bundle / "encoder.onnx").write_bytes(b"garbage")
    with pytest.raises(BundleFileError, match=r"encoder\.onnx: 7 bytes, expected"):
        verify_bundle(bundle)


def test_what_is_no_graph_is_named(bundle: Path) -> None:
    (bundle / "heads" / "topic.onnx").write_bytes(b"garbage")
    rehash(bundle, "heads/topic.onnx")
    with pytest.raises(BundleFileError, match=r"topic\.onnx is no graph that ONNX Runtime loads"):
        verify_bundle(bundle)


def test_a_graph_with_other_inputs_is_refused_with_both_lists(bundle: Path) -> None:
    shutil.copy(bundle / "heads" / "duplicate.onnx", bundle / "heads" / "topic.onnx")
    rehash(bundle, "heads/topic.onnx")
    with pytest.raises(
        BundleFileError, match=r"the head of task 'topic' has inputs pooled_a, pooled_b .* says pooled "
    ):
        verify_bundle(bundle)


def test_a_newer_bundle_is_refused(bundle: Path) -> None:
    edit_manifest(bundle, lambda raw: raw.update(schema_version=99))
    with pytest.raises(ManifestError, match="schema version 99"):
        verify_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        verify_bundle(tmp_path)
