"""Every mistake of a configuration as a sentence: its place, what was found, what is possible."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from torch import nn

from training.config.growth_faults import growth_faults
from training.config.head_faults import head_faults
from training.config.optimization_faults import optimization_faults
from training.config.schema import SECTIONS, UNION_MEMBERS, Config
from training.config.sharing_faults import sharing_faults
from training.config.task_faults import VARIABLE, data_faults, kind_faults, stride_faults
from training.metrics import LOWER_IS_BETTER, metric_names

TASK_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


def between_fields(raw: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes between fields. Works on the raw document, so that they show beside the schema's."""
    yield from _unset_faults(raw)
    declared = raw.get("tasks")
    tasks: dict[str, Any] = declared if isinstance(declared, dict) else {}
    for name, task in tasks.items():
        if not TASK_NAME.fullmatch(str(name)):
            yield f"tasks.{name}: a task's name is lower-case letters, digits and _, starting with a letter"
        elif hasattr(nn.ModuleDict(), str(name)):  # which holds the heads by their tasks' names
            yield f"tasks.{name}: PyTorch keeps this name for itself; call the task {name}_task, say"
        if isinstance(task, dict):
            faults = (*head_faults(task), *kind_faults(task), *data_faults(task))
            yield from (f"tasks.{name}.{fault}" for fault in faults)
            yield from (f"tasks.{name}.{fault}" for fault in stride_faults(task, raw.get("encoder")))
    yield from (f"sharing.{fault}" for fault in sharing_faults(raw))
    yield from (f"training.{fault}" for fault in optimization_faults(raw))
    yield from growth_faults(raw)
    selection = raw.get("selection")
    score = selection.get("score") if isinstance(selection, dict) else None
    for entry in score if isinstance(score, list) else []:
        yield from _score_faults(str(entry), tasks)


def _unset_faults(value: object, place: str = "") -> Iterator[str]:
    """Variables that ``_expand`` left in place, wherever they are."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unset_faults(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, str) and (unset := VARIABLE.search(value)):
        hint = f"${{{unset[1]}:-default}} gives a default"
        yield f"{place}: the environment variable {unset[1]} is not set ({hint})"


def _score_faults(entry: str, tasks: Mapping[str, Any]) -> Iterator[str]:
    name, _, metric = entry.partition(".")
    task = tasks.get(name)
    if task is None:
        yield f"selection.score: {entry!r} names no task{_alternatives(name, tasks)}"
        return
    known = metric_names(str(task.get("kind")), task.get("scheme")) if isinstance(task, dict) else ()
    if known and metric not in known:
        yield f"selection.score: {entry!r} is no metric of {name}{_alternatives(metric, known)}"
    elif metric in LOWER_IS_BETTER:
        rising = " or ".join(f"{name}.{each}" for each in known if each not in LOWER_IS_BETTER)
        yield (
            f"selection.score: {entry!r} falls as {name} gets better, and the highest score is chosen; take "
            f"{rising}"
        )


def of_schema(fault: Mapping[str, Any]) -> str:
    """One pydantic fault as a sentence with its place and the alternatives."""
    place, model = _locate(fault["loc"])
    where = ".".join(place)
    if fault["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()]
        return f"{where}: unknown key{_alternatives(place[-1], known)}"
    if fault["type"] == "union_tag_not_found":
        return f"{where}.{fault['ctx']['discriminator'].strip(chr(39))}: Field required"
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        key = context["discriminator"].strip("'")
        known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        return f"{where}.{key}: found {context['tag']!r}{_alternatives(context['tag'], known)}"
    found = "" if fault["type"] == "missing" else f", found {fault['input']!r}"
    quote = " (write it in quotes)" if fault["type"] == "string_type" and "labels" in place else ""
    return f"{where}: {fault['msg']}{found}{quote}"


def _locate(loc: Sequence[str | int]) -> tuple[list[str], type[BaseModel]]:
    """Place of a fault in the file, and the section that its last part belongs to.

    pydantic's own place also names the member of a union that was tried, which is no place in the file.
    """
    place: list[str] = []
    model: type[BaseModel] = Config
    for number, part in enumerate(loc):
        is_task_name = number == 1 and loc[0] == "tasks"
        if part in UNION_MEMBERS and part not in model.model_fields and not is_task_name:
            model = UNION_MEMBERS[str(part)]
            continue
        place.append(str(part))
        if not is_task_name and number < len(loc) - 1:
            model = SECTIONS.get(str(part), model)
    return place, model


def _alternatives(word: object, known: Iterable[object]) -> str:
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} known: {', '.join(names)}"
