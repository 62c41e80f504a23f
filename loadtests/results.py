"""Measured rows as small JSON files, so that a table can be made of several runs."""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.ratios import Spread
from loadtests.report import Circumstances, RowResult, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A row, and how it came about."""

    row: RowResult
    circumstances: Circumstances


def save_rows(rows: Iterable[RowResult], circumstances: Circumstances, folder: Path) -> None:
    """Write each row to a file of its own, complete or not at all; an older measurement is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        name = row.id.replace("/", "-")
        content = {"row": asdict(row), "circumstances": asdict(circumstances)}
        content["circumstances"]["started"] = circumstances.started.isoformat()
        staging = folder / f".staging-{name}"
        staging.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        staging.rename(folder / f"row-{name}.json")


def load_rows(folder: Path) -> dict[str, Measured]:
    """Every row that is there, by its id."""
    files = sorted(folder.glob("row-*.json"))
    found = [_read(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    return {each.row.id: each for each in found}


def _read(content: dict[str, Any]) -> Measured:
    row, circumstances = content["row"], content["circumstances"]
    row["spread"] = Spread(values=tuple(row["spread"]["values"]))
    row["target"] = Target(**row["target"])
    circumstances["started"] = dt.datetime.fromisoformat(circumstances["started"])
    return Measured(row=RowResult(**row), circumstances=Circumstances(**circumstances))
