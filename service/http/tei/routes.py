"""``/tei/predict``, ``/tei/rerank``, ``/tei/info`` and ``/tei/health``."""

from collections.abc import Mapping
from importlib.metadata import version as package_version
from typing import Any

from fastapi import APIRouter, Request, Response

from service.http.answering import permitted_tasks, predict
from service.http.answers import json_response
from service.http.context import context_of
from service.http.models import Leased, leased
from service.http.openapi import MODEL_HEADERS, json_body, problems
from service.http.places import told_as
from service.http.requests import read_json, timeout_s
from service.http.tei.embedding import STATUSES, add_embedding
from service.http.tei.schemas import (
    TeiInfo,
    TeiPrediction,
    TeiPredictRequest,
    TeiRank,
    TeiRerankRequest,
)
from service.http.tei.tasks import PREDICTING, RANKING, choose_task
from service.http.tei.truncation import refuse_truncated
from service.inputs import RankingInput, TaskInput
from service.kinds.base import AnswerOptions, Kind
from service.lifecycle import Lifecycle

PREDICT: dict[str, Any] = {
    "response_model": list[TeiPrediction] | list[list[TeiPrediction]],
    "responses": problems(*STATUSES),
    "openapi_extra": json_body(
        TeiPredictRequest, example={"inputs": [["The parcel never arrived."], ["I want my money back"]]}
    ),
}
RERANK: dict[str, Any] = {
    "response_model": list[TeiRank],
    "responses": problems(*STATUSES),
    "openapi_extra": json_body(
        TeiRerankRequest, example={"query": "late parcel", "texts": ["Where is my order?", "Lamps"]}
    ),
}


def tei_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes for clients of text-embeddings-inference."""
    router = APIRouter(prefix="/tei", tags=["text-embeddings-inference"])
    _add_operations(router, lifecycle)
    add_embedding(router, lifecycle)

    @router.post("/predict", **PREDICT, summary="Classify, as TEI does")
    async def predict_only(request: Request, task: str | None = None) -> Response:
        """Labels and scores, the best first, by the named task or the only one that fits."""
        return await _predict(lifecycle, request, task)

    @router.post("/{task}/predict", **PREDICT, summary="Classify by one task, as TEI does")
    async def predict_task(request: Request, task: str) -> Response:
        """For clients that know a base URL and no query."""
        return await _predict(lifecycle, request, task)

    @router.post("/rerank", **RERANK, summary="Rank texts, as TEI does")
    async def rerank_only(request: Request, task: str | None = None) -> Response:
        """Texts by descending relevance, by the named ranking task or the only one."""
        return await _rerank(lifecycle, request, task)

    @router.post("/{task}/rerank", **RERANK, summary="Rank texts by one task, as TEI does")
    async def rerank_task(request: Request, task: str) -> Response:
        """For clients that know a base URL and no query."""
        return await _rerank(lifecycle, request, task)

    return router


async def _predict(lifecycle: Lifecycle, request: Request, task: str | None) -> Response:
    with leased(request, lifecycle) as model:
        body = await read_json(request, TeiPredictRequest, model.settings)
        inputs = body.to_inputs()
        chosen = choose_task(_open_kinds(request, model, task), task, of=PREDICTING, inputs=inputs)
        answers = await _answers(request, model, inputs, chosen, body)
    lists = [_predictions(answer, are_raw=body.raw_scores) for answer in answers]
    return json_response(lists if body.is_batch else lists[0])


def _open_kinds(request: Request, model: Leased, named: str | None) -> Mapping[str, Kind]:
    """The tasks to choose from: those that the request's key opens. One that is named is refused later.

    Raises:
        Forbidden: If the key opens none.
    """
    kinds = model.engine.kinds
    names = None if named is not None else permitted_tasks(context_of(request), model, None)
    return kinds if names is None else {name: kinds[name] for name in names}


async def _answers(
    request: Request,
    model: Leased,
    inputs: list[TaskInput],
    task: str,
    body: TeiPredictRequest | TeiRerankRequest,
) -> list[Any]:
    with told_as(body.place):
        prediction = await predict(
            request,
            model,
            inputs,
            tasks=[task],
            options=AnswerOptions(return_logits=body.raw_scores),
            timeout_s=timeout_s(request, model.settings),
        )
    answers: list[Any] = [each[task] for each in prediction.answers]
    refuse_truncated(body.truncate, (answer.get("truncated", False) for answer in answers))
    return answers


def _predictions(answer: Any, *, are_raw: bool) -> list[dict[str, Any]]:  # noqa: ANN401 - of one of three kinds
    labels = answer["scores"]
    scores = answer["logits"] if are_raw else labels.values()
    found = [{"score": score, "label": label} for label, score in zip(labels, scores, strict=True)]
    return sorted(found, key=lambda each: -each["score"])


async def _rerank(lifecycle: Lifecycle, request: Request, task: str | None) -> Response:
    with leased(request, lifecycle) as model:
        body = await read_json(request, TeiRerankRequest, model.settings)
        inputs: list[TaskInput] = [RankingInput(query=body.query, documents=tuple(body.texts))]
        chosen = choose_task(_open_kinds(request, model, task), task, of=RANKING, inputs=inputs)
        (answer,) = await _answers(request, model, inputs, chosen, body)
    ranks = []
    for each in answer["ranking"]:
        index = each["index"]
        rank = {"index": index, "score": answer["logits"][index] if body.raw_scores else each["score"]}
        ranks.append(rank | ({"text": body.texts[index]} if body.return_text else {}))
    return json_response(ranks)


def _add_operations(router: APIRouter, lifecycle: Lifecycle) -> None:
    @router.get(
        "/health",
        response_class=Response,
        responses={200: {"description": "Yes."}, **problems(503)},
        summary="Is the server healthy?",
    )
    async def health() -> Response:
        """As ``/readyz``."""
        await lifecycle.check_ready()
        return Response()

    @router.get(
        "/info",
        responses=problems(404, 422, 500, 503),
        openapi_extra={"parameters": MODEL_HEADERS},
        summary="Describe the model, as TEI does",
    )
    async def info(request: Request) -> TeiInfo:
        """What is served, and its limits."""
        with leased(request, lifecycle) as model:
            return _info(model)


def _info(model: Leased) -> TeiInfo:
    manifest, settings = model.engine.manifest, model.settings
    kinds = model.engine.kinds.items()
    return TeiInfo(
        model_id=manifest.name,
        model_sha=manifest.version,
        model_dtype=model.model.bundle.precision.value,
        model_type={"embedding": {"pooling": manifest.encoder.default_pooling.value}},
        max_concurrent_requests=settings.max_requests,
        max_input_length=manifest.encoder.max_length,
        max_batch_tokens=settings.max_batch_tokens,
        max_client_batch_size=settings.max_inputs,
        auto_truncate=True,
        version=package_version("encodeonce"),
        tasks={
            "predict": [name for name, kind in kinds if kind.entry.kind in PREDICTING],
            "rerank": [name for name, kind in kinds if kind.entry.kind in RANKING],
        },
    )
