"""The no-op endpoint: the service itself, but every answer is the first one of its shape.

    bentoml serve loadtests.noop:EncodeOnce

Routes, parsing, validation, limits and the response's schema are the service's; planning, tokenising, cache,
encoder, heads and decoding are left out. What a request costs beyond it is engine work (B8).
"""

import os
from collections.abc import Sequence
from typing import Any

# As in loadtests.unmetered: counters in files would make this endpoint slower than the service is.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from service.engine import Engine, Prediction
from service.service import EncodeOnce

__all__ = ["EncodeOnce"]

_answer = Engine.predict
_answered: dict[tuple[int, tuple[str, ...]], Prediction] = {}


async def _repeat(
    engine: Engine,
    inputs: Sequence[Any],
    *,
    tasks: Sequence[str] | None = None,
    **options: Any,  # noqa: ANN401
) -> Prediction:
    shape = (len(inputs), tuple(tasks or ()))
    if shape not in _answered:
        _answered[shape] = await _answer(engine, inputs, tasks=tasks, **options)
    return _answered[shape]


Engine.predict = _repeat  # type: ignore[method-assign,assignment]
