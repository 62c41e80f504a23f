"""Inputs of a request → the engine's answers, for every route that predicts: limits, deadline, disconnect."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fastapi import Request

from service.answer_cache import Question
from service.engine import DEFAULT_OPTIONS, EMBEDDINGS, Embeddings, Prediction, TokenVectors
from service.errors import NotReady, Overloaded
from service.http.context import RequestContext, context_of
from service.http.models import Leased
from service.http.requests import priority, while_connected
from service.inputs import TaskInput, count_sequences
from service.kinds.base import AnswerOptions
from service.limits import check_inputs, check_texts
from service.models.shadowing import Answered
from service.settings import Settings

TURNED_AWAY = (Overloaded, NotReady)
"""Nothing was done for whoever gets one of these."""


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
    tasks = permitted_tasks(context, model, tasks)
    context.tasks = tuple(model.engine.kinds if tasks is None else model.engine.tasks_named(tasks))
    asked_priority = priority(request)
    question = Question(
        model=model.model.serial,
        tenant=tenant_of(context, model.settings),
        tasks=tasks,
        options=options,
        inputs=inputs,
    )
    with charged(context, sum(map(count_sequences, inputs))):
        prediction = model.runtime.answers.get(question)
        if prediction is None:
            work = model.engine.predict(
                inputs,
                tasks=tasks,
                options=options,
                tenant=question.tenant,
                timeout_s=timeout_s,
                times=context.times,
                priority=asked_priority,
            )
            prediction = await while_connected(request, work)
            model.runtime.answers.put(question, prediction)
        else:
            model.engine.saw_repetition(prediction)
    model.runtime.shadows.offer(
        Answered(
            model=model.model,
            inputs=inputs,
            tasks=tasks,
            options=options,
            tenant=question.tenant,
            answers=prediction.answers,
            request_id=context.request_id,
        )
    )
    return prediction


async def embed(
    request: Request, model: Leased, texts: Sequence[str], *, normalize: bool = True, timeout_s: float
) -> Embeddings:
    """Vectors of texts, as long as the client waits.

    Raises:
        ServiceError: As ``service.errors`` tells them apart.
    """
    context = _admit_texts(request, model, texts)
    asked_priority = priority(request)
    with charged(context, len(texts)):
        work = model.engine.embed(
            texts,
            normalize=normalize,
            tenant=tenant_of(context, model.settings),
            timeout_s=timeout_s,
            times=context.times,
            priority=asked_priority,
        )
        return await while_connected(request, work)


async def embed_tokens(
    request: Request, model: Leased, texts: Sequence[str], *, timeout_s: float
) -> TokenVectors:
    """Vectors of every token of texts, as long as the client waits.

    Raises:
        ServiceError: As ``service.errors`` tells them apart.
    """
    context = _admit_texts(request, model, texts)
    asked_priority = priority(request)
    with charged(context, len(texts)):
        work = model.engine.embed_tokens(
            texts,
            tenant=tenant_of(context, model.settings),
            timeout_s=timeout_s,
            times=context.times,
            priority=asked_priority,
        )
        return await while_connected(request, work)


def _admit_texts(request: Request, model: Leased, texts: Sequence[str]) -> RequestContext:
    check_texts(texts, model.settings)
    context = context_of(request)
    permitted_tasks(context, model, [EMBEDDINGS])
    context.tasks = (EMBEDDINGS,)
    return context


def permitted_tasks(
    context: RequestContext, model: Leased, tasks: Sequence[str] | None
) -> Sequence[str] | None:
    """The tasks that a request gets, by its API key.

    Raises:
        Forbidden: If it asks for others.
    """
    return tasks if context.key is None else context.key.permitted(tasks, model.engine.kinds)


@contextmanager
def charged(context: RequestContext, num_inputs: int) -> Iterator[None]:
    """Count inputs against the rate of the request's API key. Every document and every choice is one.

    What is turned away for now costs nothing.

    Raises:
        RateLimited: If they are too many.
    """
    if context.key is None:
        yield
        return
    context.key.charge(num_inputs)
    try:
        yield
    except TURNED_AWAY:
        context.key.give_back(num_inputs)
        raise


def tenant_of(context: RequestContext, settings: Settings) -> str:
    """Whose cache a request uses: everybody's, or by the settings that of its API key."""
    return context.key.name if settings.cache_per_key and context.key is not None else ""
