import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from export.__main__ import main
from export.errors import ExportError
from export.joining import STAGES, join_bundle
from export.manifest import MANIFEST_FILE, Manifest, Precision, hash_file, read_golden, read_manifest
from export.verify import verify_bundle
from tests.export.conftest import edit_manifest, perturb, rehash
from tests.support.growing import NEW_TASKS
from tests.support.tiny import train_tiny_run


@pytest.fixture(scope="module")
def grown(grown_bundle: Path) -> Manifest:
    return read_manifest(grown_bundle)


@pytest.fixture
def copied_heads(grown_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining takes the heads of ``grown_bundle`` instead of exporting them."""

    def copy(_: object, files: dict[str, Path], **__: int) -> None:
        for task, file in files.items():
            shutil.copy(grown_bundle / "heads" / f"{task}.onnx", file)

    monkeypatch.setattr("export.joining.export_heads", copy)


def test_encoder_tokenizer_and_old_heads_are_the_same_files(
    tiny_bundle: Path, grown_bundle: Path, manifest: Manifest, grown: Manifest
) -> None:
    for file, entry in manifest.files.items():
        if file not in ("golden.jsonl", "MODEL_CARD.md"):
            assert hash_file(grown_bundle / file) == entry == grown.files[file]
    assert grown.encoder == manifest.encoder


def test_the_new_bundle_has_the_old_tasks_as_they_were_and_the_new_ones(
    manifest: Manifest, grown: Manifest
) -> None:
    assert list(grown.tasks) == [*manifest.tasks, *NEW_TASKS]
    assert {task: grown.tasks[task] for task in manifest.tasks} == manifest.tasks
    assert (grown.name, manifest.version, grown.version) == (manifest.name, "1", "2")
    assert {grown.tasks[task].head.encoder_fingerprint for task in NEW_TASKS} == {
        manifest.encoder.fingerprint
    }
    assert grown.tasks["things"].head.inputs == ("last_hidden_state",)
    assert set(grown.tasks["tone"].metrics) > {"accuracy", "ece"}


def test_golden_examples_and_card_are_extended(tiny_bundle: Path, grown_bundle: Path) -> None:
    before, after = read_golden(tiny_bundle), read_golden(grown_bundle)
    assert after[: len(before)] == before
    assert {example.task for example in after[len(before) :]} == set(NEW_TASKS)
    (deviations,) = verify_bundle(grown_bundle).deviations.values()
    assert set(deviations) > set(NEW_TASKS)
    old, new = ((bundle / "MODEL_CARD.md").read_text() for bundle in (tiny_bundle, grown_bundle))
    assert new.startswith("# tiny, version 2\n" + old.partition("\n")[2])
    section = new.split("## Added in version 2: tone, things\n")[1]
    assert "| tone | classification | bad, fine, good | mlp [8] | mean | accuracy" in section
    assert all(f"| head of {task} |" in section for task in NEW_TASKS)


def test_the_old_bundle_is_left_as_it_was(tiny_bundle: Path, grown_bundle: Path, manifest: Manifest) -> None:
    assert verify_bundle(tiny_bundle).manifest == manifest
    assert set(manifest.tasks).isdisjoint(NEW_TASKS)


def test_a_task_that_the_bundle_has_is_refused(grown_run: Path, grown_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has a task 'tone', whose answers would change") as caught:
        join_bundle(grown_run, grown_bundle, tmp_path / "again", version="3")
    assert "has a task 'things'" in str(caught.value), "every reason at once"
    assert list(tmp_path.iterdir()) == []


def test_another_encoder_is_refused_with_both_fingerprints(
    tiny_bundle: Path, manifest: Manifest, tmp_path: Path, tiny_encoder: Path
) -> None:
    other = train_tiny_run(tmp_path / "other", encoder=tiny_encoder, steps=1, evaluate_every=1)
    with pytest.raises(ExportError, match=r"its encoder is .*, but the bundle's is") as caught:
        join_bundle(other, tiny_bundle, tmp_path / "joined", version="2")
    assert manifest.encoder.fingerprint[:12] in str(caught.value)
    assert f"Train it with --from {tiny_bundle}" in str(caught.value)
    assert not (tmp_path / "joined").exists()


def test_a_pooling_that_the_bundles_graph_lacks_is_refused(
    grown_run: Path, bundle: Path, tmp_path: Path
) -> None:
    def without_mean(raw: dict) -> None:
        raw["encoder"] |= {"poolings": ["cls"], "default_pooling": "cls"}
        raw["tasks"] = {"topic": raw["tasks"]["topic"]}

    edit_manifest(bundle, without_mean)
    with pytest.raises(
        ExportError, match="'tone' reads pooling mean, but the bundle's encoder graph has cls"
    ):
        join_bundle(grown_run, bundle, tmp_path / "joined", version="2")


def test_a_head_that_does_not_answer_as_trained_is_refused_and_leaves_nothing(
    grown_run: Path, bundle: Path, tmp_path: Path, copied_heads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    perturb(bundle / "encoder.onnx")  # an encoder that only claims to be the same
    rehash(bundle, "encoder.onnx")
    with pytest.raises(ExportError, match="encoder's graph differs"):
        join_bundle(grown_run, bundle, tmp_path / "joined", version="2")
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_a_damaged_bundle_is_not_joined(
    grown_run: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "heads" / "topic.onnx").unlink()
    arguments = [str(grown_run), "--into", str(bundle), "--output", str(tmp_path / "joined")]
    assert main(arguments) == 2
    assert "heads/topic.onnx: missing" in capsys.readouterr().err


def test_joining_from_the_command_line_reports_its_stages(
    grown_run: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    copied_heads: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "joined"
    arguments = [str(grown_run), "--into", str(tiny_bundle), "--output", str(output), "--version", "7"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == list(STAGES)
    assert lines[-1].startswith(f"{output}: tiny 7, ")
    assert lines[-1].endswith("overlap, tone, things")
    assert (output / MANIFEST_FILE).is_file()


def test_heads_without_an_encoder_are_no_bundle_by_themselves(
    grown_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(grown_run), "--output", str(tmp_path / "alone")]) == 2
    assert "python -m export RUN --into BUNDLE" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("copied_heads")
def test_a_bundle_that_grows_has_fp32_alone_since_its_precisions_were_judged_without_the_new_tasks(
    reduced_bundle: Path, grown_run: Path, tmp_path: Path
) -> None:
    assert "## Precisions" in (reduced_bundle / "MODEL_CARD.md").read_text()
    manifest = join_bundle(grown_run, reduced_bundle, tmp_path / "grown", version="2")
    assert list(manifest.encoder.graphs) == [Precision.FP32]
    assert manifest.precisions is None
    assert [file.name for file in (tmp_path / "grown").glob("*.onnx")] == ["encoder.onnx"]
    card = (tmp_path / "grown" / "MODEL_CARD.md").read_text()
    assert "## Precisions" not in card
    assert "## Data" in card
