"""What a result is a result of: a hash of configuration, data and weights, the same on every machine."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.checkpoint import Identity
from training.config.schema import Config
from training.errors import CheckpointError
from training.sources import find_source

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
    return _short({**_by_content(raw), "seed": config.seed})


def identity_of(config: Config) -> Identity:
    """What a run of the configuration is about to be a run of."""
    data = [source for task in config.tasks.values() for source in (task.data.train, task.data.dev)]
    places = [config.encoder.model, *(source for source in data if isinstance(source, str))]
    named = {place: _content_of(place) for place in places}
    if config.growth is not None:
        named[config.growth.source] = _content_of_source(config.growth.source)
    contents = {name: _short(content) for name, content in named.items() if content != name}
    return Identity(config_sha256=config_hash(config), contents=contents)


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
    found = {**raw, "tasks": tasks, "encoder": encoder}
    if "growth" not in raw:
        return found
    return {**found, "growth": {**raw["growth"], "source": _content_of_source(raw["growth"]["source"])}}


def _content_of(value: object) -> object:
    path = Path(value) if isinstance(value, str) else None
    if path is None or not path.exists():
        return value  # a name on the hub, a number
    return [(name, _digest(file, file.stat().st_mtime_ns)) for name, file in _files(path)]


def _content_of_source(given: str) -> object:
    """Of what a run begins with alone: what else lies in a run's folder may change."""
    try:
        source = find_source(Path(given))
    except CheckpointError:
        return given  # a finished run's source may have moved since
    return [(path.name, _content_of(str(path))) for path in source.parts]


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]


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
