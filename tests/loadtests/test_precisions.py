from pathlib import Path

import pytest

from loadtests.precisions import ALL_FUSIONS, main
from loadtests.variants import VARIANTS


def test_the_table_has_a_line_for_every_form(
    small_data: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results" / "forms.md"
    options = ["--texts", "30", "--rounds", "1", "--output", str(output)]
    assert main(["--bundle", str(tiny_bundle), "--data", str(small_data), *options]) == 0
    table = output.read_text(encoding="utf-8")
    assert table.strip() == capsys.readouterr().out.strip()
    lines = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert [line[0].removeprefix("| ") for line in lines] == [*VARIANTS, ALL_FUSIONS]
    assert lines[0][2:5] == ["1.00", "1.00000, 1.00000", "100.0 %"]
    assert lines[1][4] == "100.0 %", "the shipped form is the same in any company"


def test_a_missing_bundle_is_a_one_line_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundle", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
