"""Decisions are numbered one by one, so that a number names one."""

import re

from tests.support.service_process import ROOT


def test_every_decision_has_a_number_of_its_own_and_says_it() -> None:
    files = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(file.name[:4]) for file in files]
    assert numbers == list(range(1, len(files) + 1))
    for number, file in zip(numbers, files, strict=True):
        assert re.match(rf"# {number}\. \S", file.read_text(encoding="utf-8")), file.name
