"""``CHANGELOG.md`` tells each change once."""

import re
from collections import Counter
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
BEGINNING = 60
"""Characters of an entry that tell it from all others."""


def test_no_entry_is_there_twice() -> None:
    entries = Counter(entry[:BEGINNING] for entry in re.findall(r"^- (.*)$", TEXT, re.MULTILINE))
    assert [entry for entry, times in entries.items() if times > 1] == []
