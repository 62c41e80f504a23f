"""Workers of one session share what one of them has made."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.once import made_once


def test_of_all_that_ask_at_once_one_makes_it(tmp_path: Path) -> None:
    made: list[Path] = []
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda _: made_once(tmp_path / "it", made.append), range(8)))
    assert made == [tmp_path / "it"]
    assert found == made * 8


def test_what_could_not_be_made_is_made_anew(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        made_once(tmp_path / "it", fail)
    assert list(made_once(tmp_path / "it", lambda _: None).iterdir()) == []
