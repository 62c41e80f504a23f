"""Inputs of a request → the engine's answers, for every route that predicts: limits, deadline, disconnect."""

from collections.abc import Sequence

from fastapi import Request

from service.assembly import Runtime
from service.engine import DEFAULT_OPTIONS, Embeddings, Prediction
from service.http.context import context_of
from service.http.requests import while_connected
from service.inputs import TaskInput
from service.kinds.base import AnswerOptions
from service.limits import check_inputs, check_texts


async def predict(
    request: Request,
    runtime: Runtime,
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
    check_inputs(inputs, runtime.settings)
    context = context_of(request)
    context.tasks = tuple(runtime.engine.kinds if tasks is None else runtime.engine.tasks_named(tasks))
    work = runtime.engine.predict(
        inputs, tasks=tasks, options=options, timeout_s=timeout_s, times=context.times
    )
    return await while_connected(request, work)


async def embed(request: Request, runtime: Runtime, texts: Sequence[str], *, timeout_s: float) -> Embeddings:
    """Vectors of texts, as long as the client waits.

    Raises:
        ServiceError: As ``service.errors`` tells them apart.
    """
    check_texts(texts, runtime.settings)
    work = runtime.engine.embed(texts, timeout_s=timeout_s, times=context_of(request).times)
    return await while_connected(request, work)
