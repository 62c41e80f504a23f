"""Mistakes between the fields of a task, and in where its data is said to be.

Both work on a task's raw section: anything may be missing or of a wrong type, which the schema says.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.config.tasks import DATA_SUFFIXES
from training.kinds.tag_schemes import PREFIXES, is_valid_tag

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
"""``${NAME}`` or ``${NAME:-default}``."""
DEFAULT_MAX_LENGTH = 128
OF_LISTS = ("multi_label", "tagging", "question_answering", "multiple_choice")
"""Kinds that read a list from each row."""


def kind_faults(task: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes between a task's fields, but for its head's."""
    pair = task.get("pair", "cross_encoder" if task.get("kind") == "multiple_choice" else None)
    if task.get("combine") is not None and pair == "cross_encoder":
        yield "combine: only a bi_encoder combines two vectors; leave it out, or set pair: bi_encoder"
    bounds = task.get("range")
    numbers = (
        [bound for bound in bounds if isinstance(bound, int | float)] if isinstance(bounds, list) else []
    )
    if len(numbers) == 2 and not numbers[0] < numbers[1]:
        yield f"range: expected [low, high] with low < high, found {bounds}"
    labels = task.get("labels")
    if isinstance(labels, list):
        yield from _label_faults(task, [str(label) for label in labels])
    elif task.get("kind") == "tagging" and isinstance(_class_weights(task), list):
        yield "loss.class_weights: a list goes by the order of the labels; declare them too"
    if task.get("kind") == "multiple_choice" and not (task.get("context") or task.get("question")):
        yield "context, question: the choices belong to one of them or both; name its column"


def data_faults(task: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes in a task's ``data``."""
    data = task.get("data")
    for split, source in data.items() if isinstance(data, dict) else ():
        if not isinstance(source, str) or VARIABLE.search(source):
            continue  # a hub split, or a variable that is not set
        place, suffix = f"data.{split}", Path(source).suffix
        if suffix not in DATA_SUFFIXES:
            known = ", ".join(DATA_SUFFIXES)
            hub = "a hub dataset is written {hub: NAME, split: NAME}"
            yield f"{place}: {source!r} is no {known} file; {hub}"
        elif suffix == ".csv" and task.get("kind") in OF_LISTS:
            yield f"{place}: {source!r} has no lists, which kind {task['kind']} reads; use .jsonl or .parquet"
        elif not Path(source).is_file():
            yield f"{place}: no file {source!r} (relative paths start at {Path.cwd()})"


def stride_faults(task: Mapping[str, Any], encoder: object) -> Iterator[str]:
    """Windows that would share so much that they hardly move on."""
    length = encoder.get("max_length", DEFAULT_MAX_LENGTH) if isinstance(encoder, dict) else None
    stride = task.get("stride")
    if isinstance(stride, int) and isinstance(length, int) and stride > length // 2:
        yield f"stride: at most half of encoder.max_length, {length // 2}, found {stride}"


def _class_weights(task: Mapping[str, Any]) -> object:
    loss = task.get("loss")
    return loss.get("class_weights") if isinstance(loss, dict) else None


def _label_faults(task: Mapping[str, Any], labels: list[str]) -> Iterator[str]:
    if len(set(labels)) < len(labels):
        yield f"labels: each label once, found {task['labels']}"
    weights = _class_weights(task)
    if isinstance(weights, list) and len(weights) != len(labels):
        yield f"loss.class_weights: expected one for each of {len(labels)} labels, found {len(weights)}"
    scheme = str(task.get("scheme", "bio"))
    if task.get("kind") == "tagging" and scheme in PREFIXES:
        odd = [label for label in labels if not is_valid_tag(label, scheme)]
        if odd:
            yield (
                f"labels: {', '.join(odd)}: no tags of scheme {scheme}; known: O and "
                f"{', '.join(f'{prefix}-…' for prefix in PREFIXES[scheme])}, or set scheme: plain"
            )
        if "O" not in labels:
            yield f"labels: scheme {scheme} needs the tag O, for words outside of all spans"
