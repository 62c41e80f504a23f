from pathlib import Path

import pytest

from loadtests.bench import main


def test_an_unknown_row_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["B99"])
    assert "there is no row B99; known: B1, B2, B3, B6, B13, B14, B15" in capsys.readouterr().err


def test_missing_data_ends_the_measurement_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["B13", "--data", str(tmp_path)]) == 2
    assert "CS224N_DATA" in capsys.readouterr().err


def test_too_few_texts_are_found_out_before_anything_runs(
    small_data: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["B1", "--data", str(small_data), "--bundle", str(tiny_bundle), "--pairs", "500"]) == 2
    assert "more distinct texts are needed" in capsys.readouterr().err


def test_another_bundle_than_the_default_is_never_built(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    assert main(["B13", "--data", str(small_data), "--bundle", str(missing)]) == 2
    assert f"There is no bundle at {missing}" in capsys.readouterr().err


@pytest.mark.integration
def test_rows_are_measured_on_a_real_service(
    small_data: Path, reduced_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "results" / "bench.md"
    options = [
        "--pairs",
        "2",
        "--texts",
        "32",
        "--texts-per-request",
        "16",
        "--starts",
        "1",
        "--threads",
        "1",
        "--requests",
        "200",
    ]
    arguments = ["B2", "B13", "B14", *options, "--output", str(report)]
    assert main([*arguments, "--data", str(small_data), "--bundle", str(reduced_bundle)]) == 0
    assert report.read_text(encoding="utf-8").strip() == capsys.readouterr().out.strip()
    lines = report.read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| B")] == ["| B2", "| B13", "| B14"]


def test_int8_is_compared_with_itself_alone(
    small_data: Path, reduced_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--pairs",
        "1",
        "--texts",
        "40",
        "--texts-per-request",
        "8",
        "--in-flight",
        "1",
        "--threads",
        "1",
    ]
    assert main(["B15", *options, "--data", str(small_data), "--bundle", str(reduced_bundle)]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| B15")]
    assert "**100.00 %**" in row
    assert "labels equal 100.00 %" in row


@pytest.mark.parametrize("row", ["B2", "B15"])
def test_a_bundle_without_int8_is_told_how_to_get_it(
    small_data: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], row: str
) -> None:
    options = ["--pairs", "1", "--texts", "8", "--texts-per-request", "8", "--in-flight", "1"]
    assert main([row, *options, "--data", str(small_data), "--bundle", str(tiny_bundle)]) == 2
    assert "--precisions int8" in capsys.readouterr().err
