"""Mistakes of a task's ``head`` and ``pooling`` that need no encoder to be seen."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from training.heads.base import PAIR, POOLED, SEGMENTED_STATES, STATES
from training.heads.custom import find_head_class
from training.heads.hf import find_class
from training.heads.poolings import LAYER_MIXES, SEGMENT_POOLINGS

TOKEN_LEVEL = ("tagging", "question_answering")


def head_faults(task: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes between a task's ``kind``, ``pair``, ``pooling`` and ``head``.

    Args:
        task: Its raw section; anything may be missing or of a wrong type, which the schema says.
    """
    raw = task.get("head")
    head = raw if isinstance(raw, dict) else {}
    if head.get("type") == "hf":
        yield from _class_faults(find_class, head)
    if head.get("type") == "custom":
        yield from _custom_faults(task, head)
        return
    if task.get("kind") in TOKEN_LEVEL:
        if task.get("pooling") is not None:
            yield f"pooling: kind {task['kind']} has logits for every token and pools none; leave it out"
    elif task.get("pair") == "bi_encoder":
        yield from _bi_encoder_faults(task.get("pooling"), head.get("type"))
    elif head.get("type") == "sub_encoder" and task.get("pooling") not in (None, *SEGMENT_POOLINGS):
        yield (
            f"pooling: a sub_encoder pools the states of its own last layer, found {task['pooling']!r}; "
            f"known: {', '.join(SEGMENT_POOLINGS)}"
        )


def _bi_encoder_faults(pooling: object, head_type: object) -> Iterator[str]:
    if head_type in ("sub_encoder", "hf"):
        yield (
            f"head.type: {head_type!r} reads one sequence, but a bi_encoder's texts are two; "
            "use linear, mlp or custom, or set pair: cross_encoder"
        )
    if pooling == "attention":
        yield (
            "pooling: 'attention' reads the token states of one sequence, but a bi_encoder's texts are two; "
            "use cls, mean, max, pooler, layer_mix or layer_mix_cls, or set pair: cross_encoder"
        )


def _class_faults(find: Callable[[str], object], head: Mapping[str, Any]) -> Iterator[str]:
    try:
        find(str(head.get("class")))
    except ValueError as error:
        if isinstance(head.get("class"), str):
            yield f"head.class: {error}"


def _custom_faults(task: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[str]:
    faults = list(_class_faults(find_head_class, head))
    yield from faults
    if task.get("combine") is not None:
        yield "combine: a custom head combines by itself; leave it out"
    if faults or not isinstance(head.get("class"), str):
        return
    names: tuple[str, ...] = find_head_class(head["class"]).input_names
    pooling = task.get("pooling")
    if names not in (POOLED, PAIR) and pooling is not None:
        yield f"pooling: {head['class']} reads {' and '.join(names)}; leave it out"
    elif pooling == "attention" or pooling in LAYER_MIXES:
        yield f"pooling: a custom head has no {pooling} before it; known: cls, mean, max, pooler"
    wanted = _wanted_inputs(task)
    if names not in wanted:
        known = " or ".join(map(str, wanted))
        yield f"head.class: {head['class']} reads {names}, expected {known} for this kind of task"


def _wanted_inputs(task: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """What a head of this task may read."""
    if task.get("kind") in TOKEN_LEVEL:
        return (STATES, SEGMENTED_STATES)
    return (PAIR,) if task.get("pair") == "bi_encoder" else (POOLED, SEGMENTED_STATES)
