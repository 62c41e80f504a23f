"""The texts that load tests send: distinct sentences of SST-5 and Quora, in a fixed random order."""

import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from loadtests.errors import LoadTestError

DATA_VARIABLE = "CS224N_DATA"
DEFAULT_DATA = Path("../shared/data")
SOURCES = {
    "sst5/train.jsonl": ("text",),
    "sst5/dev.jsonl": ("text",),
    "quora/dev.jsonl": ("text_a", "text_b"),
}
"""File → fields that hold a sentence."""


def default_data_folder() -> Path:
    """The folder that ``CS224N_DATA`` names, as for ``examples/cs224n``."""
    return Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def load_sentences(folder: Path, *, seed: int = 0) -> list[str]:
    """Every distinct sentence once, shuffled.

    Raises:
        LoadTestError: If a file is missing.
    """
    if missing := [name for name in SOURCES if not (folder / name).is_file()]:
        raise LoadTestError(
            f"No {', '.join(missing)} in {folder}. "
            f"Set {DATA_VARIABLE}, or --data, to the folder with sst5/ and quora/."
        )
    sentences = [
        sentence for name, fields in SOURCES.items() for sentence in _read_fields(folder / name, fields)
    ]
    return shuffled_distinct(sentences, seed=seed)


def load_lines(file: Path, *, seed: int = 0) -> list[str]:
    """Every distinct line of a text file once, shuffled.

    Raises:
        LoadTestError: If the file is missing or empty.
    """
    if not file.is_file():
        raise LoadTestError(f"There is no text file {file}.")
    lines = shuffled_distinct(file.read_text(encoding="utf-8").splitlines(), seed=seed)
    if not lines:
        raise LoadTestError(f"{file} has no text in it.")
    return lines


def shuffled_distinct(texts: Iterable[str], *, seed: int) -> list[str]:
    """Each text once, stripped, no empty ones, in an order that only the seed decides."""
    distinct = list(dict.fromkeys(stripped for text in texts if (stripped := text.strip())))
    random.Random(seed).shuffle(distinct)
    return distinct


class TextPool:
    """Texts that are handed out once, so that no cache has seen them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._used = 0

    @property
    def remaining(self) -> int:
        """Texts that nobody has had."""
        return len(self._texts) - self._used

    def take(self, count: int) -> list[str]:
        """The next texts.

        Raises:
            LoadTestError: If there are not so many left.
        """
        if count > self.remaining:
            raise LoadTestError(
                f"{count} more distinct texts are needed, {self.remaining} of {len(self._texts)} are left. "
                "Lower --pairs, --texts or --window."
            )
        self._used += count
        return list(self._texts[self._used - count : self._used])

    def give_back(self, count: int) -> None:
        """The last ``count`` texts handed out were never sent."""
        self._used -= count


def _read_fields(file: Path, fields: Sequence[str]) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield from (row[field] for field in fields)
