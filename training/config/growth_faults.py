"""Mistakes of a run that adds tasks to a trained model. Works on the raw document."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from training.config.optimization_faults import method
from training.config.tasks import TaskConfig
from training.errors import CheckpointError
from training.sources import Source, find_source

OF_A_HEAD = ("kind", "labels", "head", "pair", "combine", "range", "scheme")
"""What a task's head is made for."""


def growth_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes of the section ``growth``, and what does not fit the trained model that it names."""
    growth = raw.get("growth")
    if not isinstance(growth, dict):
        return
    tasks = raw.get("tasks")
    sections: dict[str, Any] = tasks if isinstance(tasks, dict) else {}
    given = growth.get("add")
    added = [str(name) for name in given] if isinstance(given, list | tuple) else []
    for name in added:
        if name not in sections:
            yield f"growth.add: no task {name!r}; the file has {', '.join(map(str, sections))}"
        if added.count(name) > 1:
            yield f"growth.add: {name!r} is there {added.count(name)} times"
    yield from _replay_faults(growth, raw.get("training"))
    if not isinstance(growth.get("source"), str):
        return
    try:
        source = find_source(Path(growth["source"]))
    except CheckpointError as error:
        yield f"growth.source: {error}"
        return
    yield from _source_faults(source, added, raw.get("encoder"))
    if growth.get("joint"):
        yield from _joint_faults(source, sections, added, raw.get("encoder"))
        if source.shares or raw.get("sharing") is not None:
            yield (
                "growth.joint: a sharing layer is made for a fixed set of tasks: neither run may have one; "
                "leave joint out, and the new heads read the encoder beside it, or train all tasks anew"
            )


def _replay_faults(growth: Mapping[str, Any], section: object) -> Iterator[str]:
    if growth.get("replay") is None:
        return
    if not growth.get("joint"):
        yield "growth.replay: only heads train, no known task is replayed; leave it out, or set joint: true"
    training = section if isinstance(section, dict) else {}
    for place, usual in (("sampling", "proportional"), ("batches", "one_task")):
        found = method(training.get(place), usual)
        if found != usual:
            yield f"growth.replay: it says which task comes next, and so does training.{place}: {found}"


def _source_faults(source: Source, added: list[str], section: object) -> Iterator[str]:
    for name in dict.fromkeys(added):
        if name in source.tasks:
            yield f"growth.add: {source.place} has a task {name!r}; call the new one something else"
    encoder = section if isinstance(section, dict) else {}
    for key, expected in (("model", source.model), ("max_length", source.max_length)):
        found = encoder.get(key, expected)
        if found != expected:
            yield f"encoder.{key}: {source.place} has {expected!r}, which cannot change, found {found!r}"


def _joint_faults(
    source: Source, sections: Mapping[str, Any], added: list[str], encoder: object
) -> Iterator[str]:
    if not source.has_weights:
        yield (
            "growth.joint: a bundle holds its encoder as a graph, which cannot be trained; name the run that "
            "it was exported from, or leave joint out"
        )
        return
    settings: Mapping[str, Any] = encoder if isinstance(encoder, dict) else {}
    if settings.get("train") == "frozen":
        yield "growth.joint: it trains the encoder; set encoder.train: full, or leave joint out"
    known = [name for name in sections if name not in added]
    if not known:
        yield f"growth.joint: expected some of the known tasks in the file: {', '.join(source.tasks)}"
    strangers = [str(name) for name in known if name not in source.tasks]
    if strangers:
        yield f"growth.add: {', '.join(strangers)} unknown to {source.place} and not added"
    for name in known:
        before = _head_of(source.tasks.get(name), source.encoder)
        now = _head_of(sections[name], settings)
        if before is None or now is None:
            continue
        for key, found in now.items():
            if found not in (None, before[key]):
                yield f"tasks.{name}.{key}: its head was trained with {before[key]!r}, found {found!r}"


def _head_of(section: object, encoder: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a task's head depends on; None for a section with mistakes, which the schema tells."""
    try:
        task = TypeAdapter[TaskConfig](TaskConfig).validate_python(section)
    except ValidationError:
        return None
    shape = {key: getattr(task, key, None) for key in OF_A_HEAD}
    return {**shape, "pooling": task.pooling or encoder.get("pooling", "mean")}
