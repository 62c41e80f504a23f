import json
from pathlib import Path

import pytest

from training.checkpoint import (
    STAGING_PREFIX,
    Identity,
    Index,
    RunFolder,
    read_metrics,
    resolve_checkpoint,
    write_metrics,
    write_text_atomically,
)
from training.errors import CheckpointError

IDENTITY = Identity(config_sha256="c0de", contents={"train.jsonl": "1", "dev.jsonl": "2"})


def save(folder: RunFolder, step: int, *, is_best: bool) -> None:
    folder.save(
        step, lambda path: (path / "model.safetensors").write_text(str(step)) and None, is_best=is_best
    )


def kept(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path / "checkpoints").iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.start("name: x\n", resume=False, identity=IDENTITY)
    return folder


def test_only_the_best_and_the_last_checkpoint_are_kept(folder: RunFolder) -> None:
    for step, is_best in ((1, True), (2, False), (3, True), (4, False), (5, False)):
        save(folder, step, is_best=is_best)
    assert folder.index == Index(best="step-000003", last="step-000005", finished=False)
    assert kept(folder.path) == ["index.json", "step-000003", "step-000005"]


def test_each_tasks_best_checkpoint_stays_until_there_is_a_better_one(folder: RunFolder) -> None:
    for step, best_of in ((1, ["mood", "stars"]), (2, ["stars"]), (3, []), (4, ["stars"])):
        folder.save(step, lambda path: path.joinpath("f").touch(), is_best=step == 3, best_of=best_of)
    folder.finish()
    assert folder.index == Index(
        best="step-000003",
        last="step-000004",
        finished=True,
        task_best={"mood": "step-000001", "stars": "step-000004"},
    )
    assert kept(folder.path) == ["index.json", "step-000001", "step-000003", "step-000004"]


def test_the_first_checkpoint_is_the_best_whatever_its_score(folder: RunFolder) -> None:
    save(folder, 1, is_best=False)
    assert folder.index == Index(best="step-000001", last="step-000001")


def test_a_writer_that_dies_leaves_the_index_and_the_checkpoints_as_they_were(folder: RunFolder) -> None:
    save(folder, 1, is_best=True)

    def dies(path: Path) -> None:
        (path / "model.safetensors").write_text("half")
        raise InterruptedError

    with pytest.raises(InterruptedError):
        folder.save(2, dies, is_best=True)
    assert folder.index == Index(best="step-000001", last="step-000001")
    assert not folder.folder("step-000002").exists()


def test_leftovers_of_a_kill_are_cleared_at_the_next_start_and_save(folder: RunFolder) -> None:
    save(folder, 1, is_best=True)
    half = folder.path / "checkpoints" / f"{STAGING_PREFIX}step-000002"
    half.mkdir()
    unlisted = folder.folder("step-000002")  # renamed, but killed ahead of the index
    unlisted.mkdir()
    (unlisted / "model.safetensors").write_text("old")
    folder.start("name: x\n", resume=True, identity=IDENTITY)
    assert not half.exists()
    save(folder, 2, is_best=True)
    assert (unlisted / "model.safetensors").read_text() == "2"
    assert kept(folder.path) == ["index.json", "step-000002"]


def test_an_existing_run_is_refused_unless_it_is_resumed(folder: RunFolder) -> None:
    with pytest.raises(CheckpointError, match="already holds a run"):
        folder.start("name: x\n", resume=False, identity=IDENTITY)
    folder.start("name: x\n", resume=True, identity=IDENTITY)


def test_another_configuration_is_refused(folder: RunFolder) -> None:
    with pytest.raises(CheckpointError, match=r"started with another configuration \(.*config\.yaml\)"):
        folder.start("name: y\n", resume=True, identity=IDENTITY)
    assert (folder.path / "config.yaml").read_text() == "name: x\n"


def test_other_contents_of_a_file_are_refused_and_named(folder: RunFolder) -> None:
    changed = Identity(config_sha256="0dd", contents={**IDENTITY.contents, "dev.jsonl": "3", "new": "4"})
    with pytest.raises(CheckpointError, match=r"other contents of dev\.jsonl, new\."):
        folder.start("name: x\n", resume=True, identity=changed)
    assert folder.identity == IDENTITY


def test_a_run_that_wrote_no_identity_goes_on_without_one(folder: RunFolder) -> None:
    save(folder, 1, is_best=True)
    (folder.path / "identity.json").unlink()
    folder.start("name: x\n", resume=True, identity=IDENTITY)
    assert folder.identity is None, "what it learnt from at first is not known"


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CheckpointError, match="exists and is no run"):
        RunFolder(tmp_path).start("name: x\n", resume=True, identity=IDENTITY)
    with pytest.raises(CheckpointError, match="exists and is no run"):
        RunFolder(tmp_path / "thesis.tex").start("name: x\n", resume=False, identity=IDENTITY)


def test_a_run_killed_before_its_first_file_starts_again(tmp_path: Path) -> None:
    (tmp_path / f"{STAGING_PREFIX}config.yaml").write_text("na")
    RunFolder(tmp_path).start("name: x\n", resume=False, identity=IDENTITY)
    assert (tmp_path / "config.yaml").read_text() == "name: x\n"


def test_a_damaged_index_is_named(folder: RunFolder) -> None:
    for text in ("{", '{"best": "step-1"}', "[]"):
        (folder.path / "checkpoints").mkdir(exist_ok=True)
        (folder.path / "checkpoints" / "index.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"index\.json is damaged"):
            _ = folder.index


def test_a_finished_run_says_so(folder: RunFolder) -> None:
    save(folder, 1, is_best=True)
    folder.finish()
    assert folder.index == Index(best="step-000001", last="step-000001", finished=True)


def test_a_run_stands_for_its_best_checkpoint_and_a_checkpoint_for_itself(folder: RunFolder) -> None:
    save(folder, 1, is_best=True)
    save(folder, 2, is_best=False)
    assert resolve_checkpoint(folder.path) == folder.folder("step-000001")
    assert resolve_checkpoint(folder.folder("step-000002")) == folder.folder("step-000002")


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is neither a checkpoint"):
        resolve_checkpoint(tmp_path / "nowhere")


def test_metrics_are_replaced_as_a_whole(tmp_path: Path) -> None:
    write_metrics(tmp_path, {"step": 3})
    write_metrics(tmp_path, {"step": 3, "dev": {}})
    assert read_metrics(tmp_path) == {"step": 3, "dev": {}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_writing_a_text_leaves_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "text.json"
    write_text_atomically(file, json.dumps("old"))
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(file, "half \ud800")
    assert json.loads(file.read_text()) == "old"
