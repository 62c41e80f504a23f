"""``POST /v1/predict`` and ``POST /v1/tasks/{task}/predict``."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from service.assembly import Runtime
from service.engine import Prediction
from service.http.answering import predict
from service.http.answers import json_response
from service.http.context import new_request_id
from service.http.direct import DirectRoute
from service.http.models import Leased, leased
from service.http.ndjson.route import (
    MEDIA_TYPES,
    OPTIONS,
    REQUEST_CONTENT,
    RESPONSE_CONTENT,
    TASKS,
    ndjson_response,
    refuse_stream_query,
)
from service.http.openapi import json_body, problems
from service.http.requests import media_type, parse_body, read_json, timeout_s
from service.lifecycle import Lifecycle
from service.limits import check_inputs
from service.models.model import Model
from service.models.routing import Asked
from service.schemas import (
    PredictRequest,
    PredictResponse,
    TaskPredictRequest,
    TaskPredictResponse,
)

STATUSES = (400, 404, 413, 415, 422, 429, 500, 503, 504)
EXAMPLE = {"inputs": [{"text": "The parcel never arrived and nobody answers."}]}


def predict_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes that answer tasks."""
    router = APIRouter(tags=["predict"], route_class=DirectRoute)

    @router.post(
        "/v1/predict",
        response_model=PredictResponse,
        responses={200: {"content": RESPONSE_CONTENT}, **problems(*STATUSES)},
        openapi_extra=json_body(
            PredictRequest, example=EXAMPLE, others=REQUEST_CONTENT, parameters=[TASKS, *OPTIONS]
        ),
        summary="Answer tasks on inputs",
    )
    async def predict_tasks(request: Request) -> Response:
        """Every asked task that fits, on every input; each text is encoded once. NDJSON is streamed."""
        if media_type(request) in MEDIA_TYPES:
            return ndjson_response(request, lifecycle)
        refuse_stream_query(request)
        with leased(request, lifecycle) as model:
            body = await read_json(request, PredictRequest, model.settings)
            prediction = await _answer(request, model, body, body.tasks)
            return json_response(prediction_body(model, prediction, prediction.answers))

    @router.post(
        "/v1/tasks/{task}/predict",
        response_model=TaskPredictResponse,
        responses={200: {"content": RESPONSE_CONTENT}, **problems(*STATUSES)},
        openapi_extra=json_body(
            TaskPredictRequest, example=EXAMPLE, others=REQUEST_CONTENT, parameters=OPTIONS
        ),
        summary="Answer one task on inputs",
    )
    async def predict_task(request: Request, task: str) -> Response:
        """The task's answer for every input. NDJSON is streamed."""
        if media_type(request) in MEDIA_TYPES:
            return ndjson_response(request, lifecycle, task=task)
        refuse_stream_query(request)
        with leased(request, lifecycle) as model:
            model.engine.tasks_named([task])
            body = await read_json(request, TaskPredictRequest, model.settings)
            prediction = await _answer(request, model, body, [task])
            return json_response(
                prediction_body(model, prediction, [each[task] for each in prediction.answers])
            )

    return router


async def _answer(
    request: Request, model: Leased, body: PredictRequest | TaskPredictRequest, tasks: list[str] | None
) -> Prediction:
    return await predict(
        request,
        model,
        body.inputs,
        tasks=tasks,
        options=body.options(),
        timeout_s=timeout_s(request, model.settings),
    )


def prediction_body(model: Leased | Model, prediction: Prediction, predictions: list[Any]) -> dict[str, Any]:
    """The response, shaped as ``PredictResponse`` or ``TaskPredictResponse``."""
    return {
        "model": model.name,
        "version": model.version,
        "predictions": predictions,
        "usage": prediction.usage.counts(),
    }


async def predict_native(runtime: Runtime, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of ``/v1/predict`` without HTTP around it, for BentoML's in-process calls.

    The body takes the way through JSON: what is refused there is refused here, in the same words.
    """
    max_inputs = runtime.settings.max_inputs
    request = parse_body(json.dumps(body).encode(), PredictRequest, max_inputs=max_inputs)
    check_inputs(request.inputs, runtime.settings)
    with runtime.models.lease(Asked(request_id=new_request_id())) as model:
        prediction = await model.engine.predict(
            request.inputs,
            tasks=request.tasks,
            options=request.options(),
            timeout_s=runtime.settings.timeout_s,
        )
        return prediction_body(model, prediction, prediction.answers)
