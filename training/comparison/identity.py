"""What a result is a result of: a hash of configuration, data and weights, the same on every machine."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.config.schema import Config

HASH_LENGTH = 16
"""Hexadecimal digits: 64 bits tell a study's runs apart."""


def config_hash(config: Config) -> str:
    """Hash of all that decides a run's result, but for the code.

    Files and folders count by their content and not by their place. A field at its default does not count, so
    that a later version with more fields gives the same hash; what the code does is told by the commit beside
    the result.

    Args:
        config: Its name does not count.
    """
    raw = config.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    text = json.dumps({**_by_content(raw), "seed": config.seed}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def code_commit() -> str | None:
    """The commit of the working tree that holds this code; None where it is no working tree."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git the user has
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _by_content(raw: dict[str, Any]) -> dict[str, Any]:
    tasks = {
        name: {**task, "data": {key: _content_of(value) for key, value in task["data"].items()}}
        for name, task in raw["tasks"].items()
    }
    encoder = {**raw["encoder"], "model": _content_of(raw["encoder"]["model"])}
    return {**raw, "tasks": tasks, "encoder": encoder}


def _content_of(value: object) -> object:
    path = Path(value) if isinstance(value, str) else None
    if path is None or not path.exists():
        return value  # a name on the hub, a number
    return [(name, _digest(file, file.stat().st_mtime_ns)) for name, file in _files(path)]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield "", path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(path)), file


@lru_cache(maxsize=256)
def _digest(file: Path, _changed_ns: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
