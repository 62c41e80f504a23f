"""Inputs of a request → the engine's answers, for every route that predicts: limits, deadline, disconnect."""

from collections.abc import Sequence

from fastapi import Request

from service.engine import DEFAULT_OPTIONS, Embeddings, Prediction
from service.http.context import context_of
from service.http.models import Leased
from service.http.requests import while_connected
from service.inputs import TaskInput
from service.kinds.base import AnswerOptions
from service.limits import check_inputs, check_texts


async def predict(
    request: Request,
    model: Leased,
    inputs: Sequence[TaskInput],
    *,
    tasks: Sequence[str] | None,
    options: AnswerOptions = DEFAULT_OPTIONS,
    timeout_s: float,
) -> Prediction:
    """Answer tasks on inputs, as long as the client waits.

    Raises:
        ServiceError: As ``service.errors`` tells them apart.
    """
    check_inputs(inputs, model.settings)
    context = context_of(request)
    context.tasks = tuple(model.engine.kinds if tasks is None else model.engine.tasks_named(tasks))
    work = model.engine.predict(
        inputs, tasks=tasks, options=options, timeout_s=timeout_s, times=context.times
    )
    return await while_connected(request, work)


async def embed(
    request: Request, model: Leased, texts: Sequence[str], *, normalize: bool = True, timeout_s: float
) -> Embeddings:
    """Vectors of texts, as long as the client waits.

    Raises:
        ServiceError: As ``service.errors`` tells them apart.
    """
    check_texts(texts, model.settings)
    times = context_of(request).times
    work = model.engine.embed(texts, normalize=normalize, timeout_s=timeout_s, times=times)
    return await while_connected(request, work)
