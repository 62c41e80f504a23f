"""Mistakes between the section ``sharing`` and the tasks, as sentences. Works on the raw document."""

from collections.abc import Iterator, Mapping
from typing import Any


def sharing_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes of the section, each starting with its place in it."""
    section, tasks = raw.get("sharing"), raw.get("tasks")
    if not isinstance(section, dict) or not isinstance(tasks, dict):
        return
    names = [str(name) for name in tasks]
    given = section.get("tasks")
    sharing = [str(name) for name in given] if isinstance(given, list) else names
    for name in dict.fromkeys(sharing):
        if name not in names:
            yield f"tasks: {name!r} names no task; known: {', '.join(names)}"
        elif sharing.count(name) > 1:
            yield f"tasks: {name} stands there twice"
    reads = section.get("reads")
    if section.get("name") == "asymmetric" and isinstance(reads, dict):
        yield from _reads_faults(reads, sharing)
    width = section.get("width")
    if section.get("name") == "sluice" and isinstance(width, int) and width % 2:
        yield f"width: a sluice cuts its layers in two halves; expected an even number, found {width}"


def _reads_faults(reads: Mapping[Any, Any], sharing: list[str]) -> Iterator[str]:
    for reader, given in reads.items():
        read = [str(name) for name in given] if isinstance(given, list) else []
        for name in dict.fromkeys((str(reader), *read)):
            if name not in sharing:
                yield f"reads: {name!r} is no task that shares; known: {', '.join(sharing)}"
        if str(reader) in read:
            yield f"reads.{reader}: a task reads its own tower anyway; leave {reader} out"
        if len(set(read)) < len(read):
            yield f"reads.{reader}: each task once, found {', '.join(read)}"
