"""Do two sides give the same answers? Asked before their speeds are compared."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.manifest import TaskEntry, TaskKind
from loadtests.errors import LoadTestError
from service.kinds.scores import sigmoid, softmax

TOLERANCE = 1e-3


def check_answers(
    answers: Sequence[Mapping[str, Any]],
    logits: Mapping[str, NDArray[np.float32]],
    tasks: Mapping[str, TaskEntry],
) -> float:
    """Compare served answers with logits.

    Args:
        answers: One for each text: the tasks' answers by name.
        logits: By task, a row for each text.
        tasks: What the logits mean.

    Returns:
        The largest difference of a score or value; that of a value relative to it, where it is above 1.

    Raises:
        LoadTestError: If one is above ``TOLERANCE``.
    """
    worst = 0.0
    for name, rows in logits.items():
        for answer, row in zip(answers, rows, strict=True):
            worst = max(worst, _difference(answer[name], row, tasks[name]))
        if not worst <= TOLERANCE:
            raise LoadTestError(
                f"The service's answers for {name} differ by {worst:.2g} from the bare loop's; "
                f"at most {TOLERANCE:g} is the same model. Speeds were not compared."
            )
    return worst


def _difference(answer: Mapping[str, Any], row: NDArray[np.float32], task: TaskEntry) -> float:
    if task.labels is None:
        expected = float(row[0])
        return abs(float(answer["value"]) - expected) / max(1.0, abs(expected))
    probabilities = sigmoid if task.kind is TaskKind.MULTI_LABEL else softmax
    scores = probabilities(row, temperature=task.temperature)
    found = [answer["scores"][label] for label in task.labels]
    return float(np.abs(scores - found).max())
