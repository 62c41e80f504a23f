import io
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from export.__main__ import main, run_export
from export.bundle import STAGES
from export.manifest import SCHEMA_VERSION
from tests.export.conftest import edit_manifest
from tests.support.processes import PATIENCE_S, start


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_exporting_prints_its_stages_away_from_a_terminal_and_what_was_made(
    tiny_run: Path, tmp_path: Path, copied_graphs: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bundles" / "tiny"
    assert main([str(tiny_run), "--output", str(output), "--version", "7"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[:-1] == list(STAGES)
    assert lines[-1].startswith(f"{output}: tiny 7, ")
    assert "tasks sentiment, topic" in lines[-1]
    assert captured.err == ""


def test_exporting_on_a_terminal_shows_a_bar_over_the_stages(
    tiny_run: Path, tmp_path: Path, copied_graphs: Callable[[str], None]
) -> None:
    stream = io.StringIO()
    options = Namespace(
        run=tiny_run,
        output=tmp_path / "tiny",
        into=None,
        version="1",
        name=None,
        bento_model=None,
        precisions=[],
        precision_budget=0.5,
        precision_rows=9,
    )
    run_export(options, Console(file=stream, force_terminal=True, width=120))
    assert f"{len(STAGES)}/{len(STAGES)}" in stream.getvalue()


def test_the_version_is_the_time_unless_given(
    tiny_run: Path, tmp_path: Path, copied_graphs: Callable[[str], None]
) -> None:
    assert main([str(tiny_run), "--output", str(tmp_path / "tiny")]) == 0
    version = json.loads((tmp_path / "tiny" / "manifest.json").read_text())["version"]
    assert len(version) == len("20260101.120000")


def test_an_existing_output_is_a_one_line_error(
    tiny_run: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "already exists" in error_of([str(tiny_run), "--output", str(tiny_bundle)], capsys)


def test_what_is_no_run_is_a_one_line_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = error_of([str(tmp_path), "--output", str(tmp_path / "bundle")], capsys)
    assert f"{tmp_path} is neither a checkpoint" in message


def test_a_bad_version_is_a_one_line_error(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tiny_run), "--output", str(tmp_path / "bundle"), "--version", "one two"]
    assert "Found 'one two'" in error_of(arguments, capsys)


@pytest.mark.parametrize(
    "option", [["--precisions", "int8"], ["--precision-budget", "1"], ["--precision-rows", "9"]]
)
def test_precisions_do_not_go_with_an_old_bundle(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--into", "old", "--output", str(tmp_path / "new"), *option]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"{option[0]} does not go with --into" in capsys.readouterr().err


@pytest.mark.parametrize("points", ["inf", "nan", "-1"])
def test_a_budget_is_a_finite_number_of_points(points: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--output", "new", "--precision-budget", points])
    assert "expected a finite number of points" in capsys.readouterr().err


def test_verifying_an_intact_bundle_says_what_was_checked(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tiny_bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tiny_bundle}: tiny 1 is intact"
    assert lines[1].startswith("  15 files match their hashes; encoder ")
    assert [line.split(":")[0].strip() for line in lines[2:]][:2] == ["sentiment in fp32", "topic in fp32"]


def test_verifying_a_damaged_bundle_is_a_one_line_error_that_names_the_file(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "heads" / "topic.onnx").unlink()
    assert "heads/topic.onnx: missing" in error_of(["verify", str(bundle)], capsys)


def test_verifying_a_newer_bundle_is_a_one_line_error(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_manifest(bundle, lambda raw: raw.update(schema_version=SCHEMA_VERSION + 1))
    assert f"has schema version {SCHEMA_VERSION + 1}" in error_of(["verify", str(bundle)], capsys)


@pytest.mark.integration
def test_the_command_itself_is_quiet_on_stderr(tiny_bundle: Path) -> None:
    process = start(["export", "verify", tiny_bundle])
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert "is intact" in output
