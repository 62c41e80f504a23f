"""A request whose body is NDJSON → the stream that answers it."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import FieldError, InvalidRequest
from service.http.answering import permitted_tasks, tenant_of
from service.http.context import context_of
from service.http.models import leased
from service.http.ndjson.answers import LineAnswerer
from service.http.ndjson.stream import MEDIA_TYPE, NdjsonStream
from service.http.requests import explain, priority, refuse_compression, timeout_s
from service.kinds.base import MAX_TOP_K, AnswerOptions
from service.lifecycle import Lifecycle
from service.priorities import Priority
from service.schemas import TopK

MEDIA_TYPES = frozenset({MEDIA_TYPE, "application/ndjson", "application/jsonl"})


class StreamQuery(BaseModel):
    """What a JSON body would say beside its inputs; a stream says it in the query."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: list[str] | None = Field(None, min_length=1)
    top_k: TopK | None = None
    return_scores: bool = True
    return_logits: bool = False


def ndjson_response(request: Request, lifecycle: Lifecycle, *, task: str | None = None) -> Response:
    """Answer a stream of inputs.

    Args:
        request: Its body was not read.
        lifecycle: Asked for the model of each window of lines.
        task: The one to be asked; otherwise those of the query, or all that fit.

    Raises:
        ServiceError: If the request is at fault as a whole. What is wrong with a line is told in its place.
    """
    refuse_compression(request)
    query = _read_query(request)
    if task is not None and query.tasks is not None:
        fault = FieldError("tasks", "Leave it out: the path names the task.")
        raise InvalidRequest("The query has 1 fault.", errors=[fault])
    tasks: Sequence[str] | None = query.tasks if task is None else [task]
    context = context_of(request)
    with leased(request, lifecycle) as model:
        settings = model.settings
        tasks = permitted_tasks(context, model, tasks)
        context.tasks = tuple(model.engine.kinds if tasks is None else model.engine.tasks_named(tasks))
    answerer = LineAnswerer(
        lease=lambda: leased(request, lifecycle),
        key=context.key,
        tenant=tenant_of(context, settings),
        settings=settings,
        tasks=None if tasks is None else tuple(tasks),
        is_one_task=task is not None,
        options=AnswerOptions(
            top_k=query.top_k, return_scores=query.return_scores, return_logits=query.return_logits
        ),
        timeout_s=timeout_s(request, settings),
        priority=priority(request) or Priority.BULK,
        request_id=context.request_id,
        times=context.times,
    )
    return NdjsonStream(
        answerer.answer,
        last_line=answerer.tally.to_line,
        max_line_bytes=settings.max_body_bytes,
        max_bytes=settings.max_body_bytes,
        patience_s=settings.max_timeout_s,
    )


def refuse_stream_query(request: Request) -> None:
    """A JSON body says these itself: left aside, they would be a silent default.

    Raises:
        InvalidRequest: If the query says them.
    """
    faults = [
        FieldError(name, "Of a stream alone. Put it into the JSON body.")
        for name in StreamQuery.model_fields
        if name in request.query_params
    ]
    if faults:
        raise InvalidRequest("The query says what stands in a JSON body.", errors=faults)


def _read_query(request: Request) -> StreamQuery:
    given: dict[str, Any] = dict(request.query_params)
    if "tasks" in given:
        given["tasks"] = [
            name for each in request.query_params.getlist("tasks") for name in each.split(",") if name
        ]
    try:
        return StreamQuery.model_validate(given)
    except ValidationError as error:
        raise explain(error, part="query") from None


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": f"Of a stream: {description}",
        "schema": schema,
    }


OPTIONS = (
    _parameter("top_k", {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K}, "as top_k in JSON."),
    _parameter("return_scores", {"type": "boolean"}, "as return_scores in JSON."),
    _parameter("return_logits", {"type": "boolean"}, "as return_logits in JSON."),
)
TASKS = _parameter("tasks", {"type": "string"}, "names, joined by commas.")

REQUEST_CONTENT: dict[str, Any] = {
    MEDIA_TYPE: {
        "schema": {"type": "string", "description": "An input a line, each as in inputs of the JSON body."},
        "example": '"Where is my order?"\n{"text": "late parcel", "text_pair": "the parcel is late"}\n',
    }
}
RESPONSE_CONTENT: dict[str, Any] = {
    MEDIA_TYPE: {
        "schema": {
            "type": "string",
            "description": "Line number and prediction, or problem, of each; a summary at the end.",
        },
        "example": '{"line":1,"version":"1","prediction":{"intent":{"label":"order_status","score":0.9}}}\n',
    }
}
