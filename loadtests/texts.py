"""The texts that load tests send: distinct sentences of SST-5 and Quora, in a fixed random order."""

import json
import os
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
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
BARREN_ROUNDS = 100
"""Over all texts, without a new order of words, after which there is none to be expected."""


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


class EndlessTexts:
    """Texts that are handed out once, and do not run out: later ones are the same in other orders of words.

    An encoder sees as many tokens, and a cache another text.
    """

    def __init__(self, texts: Sequence[str], *, seed: int = 0) -> None:
        self._draws = self._draw([text.split() for text in texts], random.Random(seed))
        self._lock = threading.Lock()

    def take(self, count: int) -> list[str]:
        """The next texts, for any thread.

        Raises:
            LoadTestError: If the words allow no more.
        """
        with self._lock:
            texts = list(islice(self._draws, count))
        if len(texts) < count:
            raise LoadTestError(f"{count} more texts are needed; other orders of words give {len(texts)}.")
        return texts

    @staticmethod
    def _draw(texts: list[list[str]], generator: random.Random) -> Iterator[str]:
        seen: set[str] = set()
        barren_rounds = 0
        while barren_rounds < BARREN_ROUNDS:
            barren_rounds += 1
            for words in texts:
                text = " ".join(words)
                if (key := text.casefold()) not in seen:  # many encoders read no capitals
                    seen.add(key)
                    barren_rounds = 0
                    yield text
                generator.shuffle(words)


def _read_fields(file: Path, fields: Sequence[str]) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield from (row[field] for field in fields)
