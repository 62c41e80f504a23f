"""`docs/coverage.md` names files that exist."""

import re

import pytest

from tests.support.service_process import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [A-Z]\d", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_file_and_test_named_exists(row: list[str]) -> None:
    for path in re.findall(r"`([\w./]+\.(?:py|md|yaml))`", " ".join(row[3:])):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_done_names_a_file_and_a_test(row: list[str]) -> None:
    if row[2].startswith("done"):
        assert "`" in row[3]
        assert "`tests/" in row[4]
