"""Checks of single cells. Each takes the place of the cell and says what was expected and found."""

import math
from collections.abc import Mapping, Sequence

from training.kinds.base import RowError

SHOWN = 60
"""Characters of a cell that a message repeats."""


def text_cell(place: str, cell: object) -> str:
    """A text with something in it.

    Raises:
        RowError: If it is no text, blank, or cannot be written as UTF-8.
    """
    if not isinstance(cell, str):
        raise RowError(f"{place} should be text, found {shown(cell)}")
    if not cell.strip():
        raise RowError(f"{place} is empty")
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"{place} has half a surrogate pair at character {error.start}") from error
    return cell


def number_cell(place: str, cell: object) -> float:
    """A finite number, also written as text.

    Raises:
        RowError: If it is none.
    """
    if is_missing(cell):
        raise RowError(f"{place} is missing (null or NaN)")
    try:
        value = float(str(cell))
    except ValueError:
        raise RowError(f"{place} should be a number, found {shown(cell)}") from None
    if not math.isfinite(value):
        raise RowError(f"{place} should be finite, found {shown(cell)}")
    return value


def label_cell(place: str, cell: object, index: Mapping[str, int]) -> int:
    """The number of a label. Labels are compared as text.

    Raises:
        RowError: If it is none of ``index``.
    """
    if is_missing(cell):
        raise RowError(f"{place} is missing (null or NaN)")
    name = label_name(cell)
    if name not in index:
        raise RowError(f"{place} {shown(cell)} is none of {', '.join(index)}")
    return index[name]


def list_cell(place: str, cell: object) -> Sequence[object]:
    """A list.

    Raises:
        RowError: If it is none.
    """
    if isinstance(cell, str) or not isinstance(cell, Sequence):
        raise RowError(f"{place} should be a list, found {shown(cell)}")
    return cell


def text_cells(place: str, cell: object) -> tuple[str, ...]:
    """A list of texts, each with something in it.

    Raises:
        RowError: Naming the first that does not fit.
    """
    return tuple(text_cell(f"{place}[{number}]", each) for number, each in enumerate(list_cell(place, cell)))


def is_missing(cell: object) -> bool:
    """Whether a cell is null or NaN."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def label_name(cell: object) -> str:
    """A label as text; a whole float (CSV columns with gaps give such) is its integer."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def shown(cell: object) -> str:
    """A cell in a message."""
    text = repr(cell)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
