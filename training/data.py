"""A task's rows: read by `datasets`, checked, tokenised. Faults name the file and the row."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.config import DATA_SUFFIXES, HubSplit
from training.errors import DataError
from training.tasks import Task
from training.tokenization import TokenSequence, encode_texts

MAX_FAULTS_SHOWN = 5
NO_ROWS = ("corresponds to no data", "BatchSize must be greater than 0")
"""What `datasets` says of a text file, and of a Parquet file, without rows."""

Text = str | tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Checked rows of one task.

    Attributes:
        texts: One text or a pair an example.
        labels: Label indices, or values. Shape ``(num_examples,)``, float64.
    """

    texts: list[Text]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "Examples":
        """The examples at ``indices``, in that order."""
        chosen = [int(index) for index in indices]
        return Examples(texts=[self.texts[index] for index in chosen], labels=self.labels[chosen])


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedExamples:
    """Tokenised examples of one task.

    Attributes:
        sequences: ``Task.sequences_per_example`` sequences an example.
        labels: Shape ``(num_examples,)``.
    """

    sequences: list[tuple[TokenSequence, ...]]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example's longest sequence. Shape ``(num_examples,)``."""
        return np.array([max(len(s.input_ids) for s in example) for example in self.sequences])


def load_examples(task: Task, source: str | HubSplit) -> Examples:
    """Read and check one split of a task.

    Raises:
        DataError: If the source cannot be read, is empty, lacks a column, or has rows that do not fit.
    """
    wanted = [*task.text_columns, task.label_column]
    rows = _read(source, wanted)
    origin = source if isinstance(source, str) else f"{source.hub}[{source.split}]"
    missing = [column for column in wanted if column not in rows.column_names]
    if missing:
        raise DataError(
            f"{origin}: task {task.name!r} reads column {', '.join(missing)}, but the columns are "
            f"{', '.join(rows.column_names)}"
        )
    if len(rows) == 0:
        raise DataError(f"{origin}: task {task.name!r} has no rows")
    return _check(task, origin, [rows[column] for column in wanted])


def split_for_selection(
    examples: Examples, *, fraction: float, max_rows: int, seed: int
) -> tuple[Examples, Examples]:
    """Set rows aside for choosing the best checkpoint.

    Args:
        examples: At least two.
        fraction: Of the examples, to set aside.
        max_rows: At most so many.
        seed: Of the whole run.

    Returns:
        The rows to train on, and the rows set aside; at least one each.
    """
    size = max(1, min(round(len(examples) * fraction), max_rows, len(examples) - 1))
    order = np.random.default_rng(seed).permutation(len(examples))
    return examples.take(np.sort(order[size:])), examples.take(np.sort(order[:size]))


def with_both_orders(pairs: Examples) -> Examples:
    """Every pair, and behind them every pair the other way round."""
    swapped: list[Text] = [(text[1], text[0]) for text in pairs.texts]
    return Examples(texts=[*pairs.texts, *swapped], labels=np.tile(pairs.labels, 2))


def encode_examples(task: Task, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
    """Tokenise: a text or cross-encoded pair as one sequence, a bi-encoded pair as two."""
    columns: list[Any] = list(zip(*examples.texts, strict=True)) if task.bi_encoder else [examples.texts]
    encoded = [encode_texts(tokenizer, column) for column in columns]
    return EncodedExamples(sequences=list(zip(*encoded, strict=True)), labels=examples.labels)


def _read(source: str | HubSplit, columns: Sequence[str]) -> Any:  # noqa: ANN401 - datasets is untyped
    """Rows by `datasets`. In CSV, cells of ``columns`` stay text: ``007`` is no 7, ``None`` not missing."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it logs what it raises
    where = source if isinstance(source, str) else source.hub
    try:
        if isinstance(source, HubSplit):
            return datasets.load_dataset(source.hub, source.config, split=source.split)
        if Path(source).stat().st_size == 0:
            raise DataError(f"{source} is empty")
        loader = DATA_SUFFIXES[Path(source).suffix]
        as_text = {"converters": dict.fromkeys(columns, str), "keep_default_na": False}
        options = as_text if loader == "csv" else {}
        return datasets.load_dataset(loader, data_files=source, split="train", **options)
    except DataError:
        raise
    except Exception as error:  # datasets wraps readers' errors of many types in its own
        if any(sign in f"{error} {error.__cause__}" for sign in NO_ROWS):
            raise DataError(f"{where} has no rows") from error
        reason = _first_broken_line(Path(where)) or error.__cause__ or error
        raise DataError(f"{where} cannot be read: {reason}") from error


def _first_broken_line(file: Path) -> str | None:
    """The line of a ``.jsonl`` that is no JSON; the reader's message counts from 0, within a block."""
    if file.suffix != ".jsonl" or not file.is_file():
        return None
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                json.loads(line.strip() or "null")
            except ValueError as error:
                return f"line {number}: {error}"
    return None


def _check(task: Task, origin: str, columns: list[Iterable[Any]]) -> Examples:
    texts: list[Text] = []
    labels: list[float] = []
    faults: list[str] = []
    index = {label: number for number, label in enumerate(task.labels or ())}
    for row, (*parts, label) in enumerate(zip(*columns, strict=True), 1):
        fault = next((_text_fault(name, text) for name, text in zip(task.text_columns, parts, strict=True)
                      if _text_fault(name, text)), None) or _label_fault(task, label, index)  # fmt: skip
        if fault:
            faults.append(f"row {row}: {fault}")
            continue
        texts.append(parts[0] if len(parts) == 1 else (parts[0], parts[1]))
        labels.append(index[_label_name(label)] if task.labels else float(label))
    if faults:
        more = f" (and {len(faults) - MAX_FAULTS_SHOWN} rows more)" if len(faults) > MAX_FAULTS_SHOWN else ""
        raise DataError(f"{origin}, task {task.name!r}: " + "; ".join(faults[:MAX_FAULTS_SHOWN]) + more)
    return Examples(texts=texts, labels=np.array(labels, dtype=np.float64))


def _text_fault(column: str, text: object) -> str | None:
    if not isinstance(text, str):
        return f"{column} should be text, found {text!r}"
    return None if text.strip() else f"{column} is empty"


def _label_fault(task: Task, label: object, index: dict[str, int]) -> str | None:
    column = task.label_column
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return f"{column} is missing (null or NaN)"
    if task.labels:
        known = ", ".join(task.labels)
        return None if _label_name(label) in index else f"{column} {label!r} is none of {known}"
    try:
        value = float(str(label))
    except ValueError:
        return f"{column} should be a number, found {label!r}"
    return None if math.isfinite(value) else f"{column} should be finite, found {label!r}"


def _label_name(label: object) -> str:
    """Labels are compared as text; a whole float (CSV columns with gaps give such) is its integer."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
