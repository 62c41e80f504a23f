import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.support.processes import PATIENCE_S, kill_when, start
from tests.support.tiny import write_config
from tests.training.conftest import start_run
from training.__main__ import main
from training.assembly.trained import load_model
from training.checkpoint import RunFolder, read_metrics
from training.commands.fit import fit

SmallConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def copied_run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that fails as a user's mistake does."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err + captured.out
    return captured.err.removeprefix("error: ").removesuffix("\n")


def test_a_run_is_trained_evaluated_and_finished(
    small_config: SmallConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    file, run = write_config(tmp_path / "small.yaml", small_config(steps=4)), tmp_path / "runs" / "small"
    assert main(["fit", str(file), "--output", str(run)]) == 0
    index = RunFolder(run).index
    assert index is not None
    assert index.finished
    assert set(read_metrics(load_model(run).checkpoint)["dev"]) == {"sentiment", "duplicate", "stars"}
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("tiny: 4 steps, sentiment, duplicate, stars\nstep 4: joint score")
    assert captured.out.endswith(f"Finished. Next: python -m export {run} --output bundles/tiny\n")
    assert list((run / "tensorboard").glob("events.*"))


def test_a_finished_run_is_left_alone(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in copied_run.rglob("*.safetensors")}
    config = next(copied_run.glob("config.yaml"))
    assert main(["fit", str(config), "--output", str(copied_run), "--resume"]) == 0
    assert capsys.readouterr().out == f"{copied_run} is already finished.\n"
    assert before == {file: file.stat().st_mtime_ns for file in copied_run.rglob("*.safetensors")}


def test_an_existing_run_without_resume_is_a_one_line_error(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = error_of(["fit", str(copied_run / "config.yaml"), "--output", str(copied_run)], capsys)
    assert (
        message
        == f"{copied_run} already holds a run. Add --resume to continue it, or choose another --output."
    )


def test_resuming_with_another_configuration_is_a_one_line_error(
    copied_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text((copied_run / "config.yaml").read_text().replace("steps: 12", "steps: 13"))
    message = error_of(["fit", str(changed), "--output", str(copied_run), "--resume"], capsys)
    assert "was started with another configuration" in message
    assert "\n" not in message


def test_resuming_on_other_rows_is_a_one_line_error_that_names_the_file(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config(steps=2)
    start_run(raw, tmp_path / "run")
    train = tmp_path / "train.jsonl"
    train.write_text(train.read_text().split("\n", 1)[1])
    file = write_config(tmp_path / "small.yaml", raw)
    message = error_of(["fit", str(file), "--output", str(tmp_path / "run"), "--resume"], capsys)
    assert f"was started with other contents of {train}." in message


def test_a_mistake_in_the_data_is_a_one_line_error_and_names_the_row(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path / "small.yaml", small_config())
    rows = [json.loads(line) for line in (tmp_path / "dev.jsonl").read_text().splitlines()]
    rows[2]["mood"] = "furious"
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = error_of(["fit", str(file), "--output", str(tmp_path / "run")], capsys)
    assert message == (
        f"{tmp_path / 'dev.jsonl'}, task 'sentiment': row 3: mood 'furious' is none of bad, fine, good"
    )


def test_mistakes_of_a_configuration_are_listed_and_nothing_is_written(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config(batch_size=0, warmup=2)
    file = write_config(tmp_path / "small.yaml", raw)
    message = error_of(["fit", str(file), "--output", str(tmp_path / "run")], capsys)
    assert message.splitlines()[0] == f"{file} has 2 mistakes:"
    assert not (tmp_path / "run").exists()


def test_missing_weights_are_a_one_line_error(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config()
    raw["encoder"]["model"] = "./weights/gone"
    file = write_config(tmp_path / "small.yaml", raw)
    assert "No folder ./weights/gone" in error_of(
        ["fit", str(file), "--output", str(tmp_path / "run")], capsys
    )


def test_evaluating_what_is_no_run_is_a_one_line_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is neither a checkpoint" in error_of(["evaluate", str(tmp_path)], capsys)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("fit", "With --resume the same command goes on"),
        ("pretrain", "With --resume the same command goes on"),
        ("affinity", "Nothing is kept"),
        ("compare", "Finished runs are kept"),
    ],
)
def test_an_interrupted_command_tells_what_it_has_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, expected: str
) -> None:
    file = tmp_path / "pipe.yaml"
    os.mkfifo(file)

    def interrupt() -> None:
        # Once the command has opened it. One that does not wait for its content yet would miss the signal,
        # but for the end of the file, which wakes it.
        with file.open("w"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # A shell's background jobs are started with the signal ignored, and so are the tests in one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert main([command, str(file), "--output", str(tmp_path / "out")]) == 130
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert f"Stopped. {expected}" in (told := capsys.readouterr().err)
    assert ("--resume" in told) == (command in ("fit", "pretrain"))


def test_an_unknown_command_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train"])
    assert caught.value.code == 2
    assert "usage: python -m training" in capsys.readouterr().err


@pytest.mark.integration
def test_evaluate_writes_dev_metrics_and_is_quiet_away_from_a_terminal(copied_run: Path) -> None:
    checkpoint = load_model(copied_run).checkpoint
    metrics = read_metrics(checkpoint)
    expected = metrics.pop("dev")
    (checkpoint / "metrics.json").write_text(json.dumps(metrics))
    output, errors = (process := start(["training", "evaluate", copied_run])).communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert "tiny on dev" in output.splitlines()[0]
    assert "\x1b" not in output
    assert read_metrics(checkpoint)["dev"] == {
        name: pytest.approx(v, abs=1e-5) for name, v in expected.items()
    }


def test_a_file_of_no_known_kind_is_a_one_line_error(
    copied_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dev.tsv").write_text("text\tvalue\n")
    message = error_of(["evaluate", str(copied_run), "--data", f"stars={tmp_path / 'dev.tsv'}"], capsys)
    assert message == f"{tmp_path / 'dev.tsv'} is no .jsonl, .json, .csv, .parquet file"


@pytest.mark.integration
def test_another_file_is_measured_and_nothing_of_it_is_kept(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = load_model(copied_run)
    dev = checkpoint.config.tasks["stars"].data.dev
    before = read_metrics(checkpoint.checkpoint)
    assert main(["evaluate", str(copied_run), "--data", f"stars={dev}"]) == 0
    shown = capsys.readouterr().out
    assert f"{before['dev']['stars']['pearson']:.4f}" in shown
    assert "sentiment" not in shown
    assert read_metrics(checkpoint.checkpoint) == before
    assert "no task moods" in error_of(["evaluate", str(copied_run), "--data", f"moods={dev}"], capsys)
    with pytest.raises(SystemExit):
        main(["evaluate", str(copied_run), "--data", "stars=missing.jsonl"])


def test_a_run_killed_at_any_moment_resumes_and_ends_as_if_never_killed(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    interval, steps = 3, 48
    raw = small_config(steps=steps, evaluate_every=interval)
    file = write_config(tmp_path / "small.yaml", raw)
    fit(file, tmp_path / "whole", resume=False, console=Console(quiet=True))
    run = tmp_path / "killed"
    folder = RunFolder(run)

    def writing(step: int) -> bool:
        """Whether a checkpoint of that step or a later one is being written, or was."""
        names = [entry.name for entry in (run / "checkpoints").glob("*step-*")]
        return any(int(name.rsplit("-", 1)[1]) >= step for name in names)

    def last_is_saved() -> bool:
        return folder.index is not None and folder.index.last == f"step-{steps:06d}"

    moments: list[Callable[[], bool]] = [
        lambda: writing(interval),
        lambda: writing(steps // 2),
        last_is_saved,
    ]
    for moment in moments:
        kill_when(start(["training", "fit", file, "--output", run, "--resume"]), moment)
        index = folder.index
        reached = max(
            (int(p.name.rsplit("-", 1)[1]) for p in (run / "checkpoints").glob("*step-*")), default=0
        )
        saved = 0
        if index is not None:
            saved = int(index.last.removeprefix("step-"))
            for name in (index.best, index.last):
                load_model(folder.folder(name))
            assert not index.finished
        assert reached - saved <= interval, "at most one interval is lost"
    fit(file, run, resume=True, console=Console(quiet=True))

    assert folder.index == RunFolder(tmp_path / "whole").index
    assert folder.index is not None
    for name in (folder.index.best, folder.index.last):
        expected = load_file(tmp_path / "whole" / "checkpoints" / name / "model.safetensors")
        torch.testing.assert_close(
            load_file(folder.folder(name) / "model.safetensors"), expected, atol=1e-6, rtol=0
        )
    found, wanted = (read_metrics(load_model(path).checkpoint)["dev"] for path in (run, tmp_path / "whole"))
    assert found == {task: pytest.approx(values, abs=1e-6) for task, values in wanted.items()}
    assert not list(run.rglob(".staging-*"))
