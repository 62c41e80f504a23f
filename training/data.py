"""A task's rows: read by `datasets`, checked by the task's kind. Faults name the file and the row."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import datasets
from tokenizers import Tokenizer

from training.config.tasks import DATA_SUFFIXES, DataConfig, HubSplit
from training.errors import DataError
from training.examples import EncodedExamples, Example, Examples
from training.kinds.base import RowError
from training.kinds.tag_schemes import is_valid_tag
from training.tasks import Task

MAX_FAULTS_SHOWN = 5
NO_ROWS = ("corresponds to no data", "BatchSize must be greater than 0")
"""What `datasets` says of a text file, and of a Parquet file, without rows."""


def load_examples(task: Task, source: str | HubSplit) -> Examples:
    """Read and check one split of a task.

    Raises:
        DataError: If the source cannot be read, is empty, lacks a column, or has rows that do not fit.
    """
    wanted = task.kind.columns
    rows = _read(source, wanted)
    return _check(task, origin_of(source), _columns(rows, wanted, task.name, origin_of(source)))


def load_dev(task: Task, data: DataConfig) -> Examples:
    """Read and check the dev rows that are measured.

    Raises:
        DataError: As ``load_examples``.
    """
    return load_examples(task, data.dev).thinned(data.max_dev_rows)


def read_tags(source: str | HubSplit, column: str, *, scheme: str, task: str) -> set[str]:
    """Every tag of one split of a tagging task.

    Raises:
        DataError: If the source cannot be read, or has a tag that the scheme does not know.
    """
    (cells,) = _columns(_read(source, [column]), [column], task, origin_of(source))
    tags: set[str] = set()
    for row, cell in enumerate(cells, 1):
        for tag in cell if isinstance(cell, list) else ():
            if not is_valid_tag(str(tag), scheme):
                raise DataError(
                    f"{origin_of(source)}, task {task!r}: row {row}: {column} {tag!r} is no tag of scheme "
                    f"{scheme}"
                )
            tags.add(str(tag))
    return tags


def origin_of(source: str | HubSplit) -> str:
    """A source in messages."""
    return source if isinstance(source, str) else f"{source.hub}[{source.split}]"


def encode_examples(task: Task, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
    """Tokenise as the service does.

    Raises:
        DataError: If an example does not fit the encoder's ``max_length``.
    """
    return task.kind.encode(examples, tokenizer)


def encode_for_training(task: Task, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
    """Tokenise as the task learns: symmetric pairs in both orders, long contexts by window.

    Raises:
        DataError: If an example does not fit the encoder's ``max_length``.
    """
    return task.kind.encode_for_training(examples, tokenizer)


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
        loader = DATA_SUFFIXES.get(Path(source).suffix)
        if loader is None:
            raise DataError(f"{source} is no {', '.join(DATA_SUFFIXES)} file")
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
    """The line of a ``.jsonl`` that is no JSON in UTF-8; the reader counts from 0, within a block."""
    if file.suffix != ".jsonl" or not file.is_file():
        return None
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                json.dumps(json.loads(line.strip() or "null"), ensure_ascii=False).encode()
            except UnicodeEncodeError:
                return f"line {number}: a text has half a surrogate pair"
            except ValueError as error:
                return f"line {number}: {error}"
    return None


def _columns(
    rows: Any,  # noqa: ANN401 - datasets is untyped
    wanted: Sequence[str],
    task: str,
    origin: str,
) -> list[Iterable[Any]]:
    missing = [column for column in wanted if column not in rows.column_names]
    if missing:
        raise DataError(
            f"{origin}: task {task!r} reads column {', '.join(missing)}, but the columns are "
            f"{', '.join(rows.column_names)}"
        )
    if len(rows) == 0:
        raise DataError(f"{origin}: task {task!r} has no rows")
    return [_named(rows, column) for column in wanted]


def _named(rows: Any, column: str) -> Iterable[Any]:  # noqa: ANN401
    """Cells of a column; lists of labels that the hub stores as numbers, by their names."""
    names = getattr(getattr(rows.features[column], "feature", None), "names", None)
    cells: Iterable[Any] = rows[column]
    return [[names[number] for number in cell] for cell in cells] if names else cells


def _check(task: Task, origin: str, columns: Sequence[Iterable[Any]]) -> Examples:
    parsed: list[Example] = []
    faults: list[str] = []
    for row, cells in enumerate(zip(*columns, strict=True), 1):
        try:
            given, target = task.kind.parse(*cells)
            parsed.append(Example(input=given, target=target, row=row))
        except RowError as fault:
            faults.append(f"row {row}: {fault}")
    if faults:
        more = f" (and {len(faults) - MAX_FAULTS_SHOWN} rows more)" if len(faults) > MAX_FAULTS_SHOWN else ""
        raise DataError(f"{origin}, task {task.name!r}: " + "; ".join(faults[:MAX_FAULTS_SHOWN]) + more)
    try:
        return Examples(origin=origin, items=tuple(task.kind.gather(parsed)))
    except RowError as fault:
        raise DataError(f"{origin}, task {task.name!r}: {fault}") from fault
