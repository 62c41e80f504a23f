"""The self-check before the service gets ready: golden examples, through the engine that will serve."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from export.manifest import GoldenExample, describe_faults, deviation
from service.engine import Engine
from service.errors import InferenceFailed, InvalidRequest, SelfCheckFailed
from service.planning import plan
from service.schemas import parse_input

TIMEOUT_S = 60.0
"""For one task's examples. A stuck encoder ends the start-up instead of hanging it."""

SHOWN = 5
"""Faults named in the message; the others are counted."""


async def check_golden(engine: Engine, examples: Iterable[GoldenExample], *, tolerance: float) -> None:
    """Compare logits with those of the torch model.

    Args:
        engine: A running engine.
        examples: Of any of the bundle's tasks.
        tolerance: Largest accepted ``export.manifest.deviation`` of an example's logits.

    Raises:
        SelfCheckFailed: Naming task, example and both values.
    """
    by_task: dict[str, list[GoldenExample]] = defaultdict(list)
    for example in examples:
        by_task[example.task].append(example)
    faults: list[str] = []
    for task, task_examples in by_task.items():
        faults += await _check_task(engine, task, task_examples, tolerance)
    if faults:
        more = f" And {len(faults) - SHOWN} more." if len(faults) > SHOWN else ""
        raise SelfCheckFailed(
            "The bundle does not answer as its model did; it is not served. "
            + " ".join(faults[:SHOWN])
            + more
        )


async def _check_task(
    engine: Engine, task: str, examples: list[GoldenExample], tolerance: float
) -> list[str]:
    inputs, faults = [], []
    for number, example in enumerate(examples, 1):
        try:
            inputs.append(parse_input(example.input))
        except ValidationError as error:
            faults.append(
                f"Task {task!r}, example {number}: no input of the service: {describe_faults(error)}."
            )
    if faults:
        return faults
    try:
        readings = await engine.read(plan(inputs, engine.tasks_named([task])), timeout_s=TIMEOUT_S)
    except (InvalidRequest, InferenceFailed) as error:
        return [f"Task {task!r}: {error.detail}"]
    found = [reading.logits for reading in readings[task].by_input()]
    numbered = enumerate(zip(examples, found, strict=True), 1)
    return [
        f"Task {task!r}, example {number}: {fault}"  # without its text: this is logged
        for number, (example, logits) in numbered
        if (fault := _fault(logits, np.array(example.logits), tolerance))
    ]


def _fault(found: NDArray[np.float32], expected: NDArray[np.float64], tolerance: float) -> str | None:
    if found.shape != expected.shape:
        return f"expected logits of shape {expected.shape}, found {found.shape}."
    gap = deviation(found.ravel().tolist(), expected.ravel().tolist())
    if gap <= tolerance:  # not so for a number that is none
        return None
    worst = int(np.argmax(np.nan_to_num(np.abs(found - expected), nan=np.inf).max(axis=1)))
    return (
        f"expected logits {expected[worst].round(4).tolist()}, found {found[worst].round(4).tolist()}; "
        f"deviation {gap:.2g}, tolerance {tolerance:.2g}."
    )
