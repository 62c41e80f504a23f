"""``/tei/embed`` and ``/tei/embed_all``: vectors of texts, and of their tokens."""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from service.errors import RequestTooLarge
from service.http.answering import embed, embed_tokens
from service.http.answers import json_response
from service.http.models import leased
from service.http.openapi import json_body, problems
from service.http.places import told_as
from service.http.requests import read_json, timeout_s
from service.http.tei.schemas import TeiEmbedAllRequest, TeiEmbedRequest
from service.http.tei.truncation import refuse_truncated
from service.lifecycle import Lifecycle

STATUSES = (400, 404, 413, 415, 422, 429, 500, 503, 504)
EXAMPLE: dict[str, Any] = {"inputs": ["The parcel never arrived."]}

MAX_TOKENS = 2048
"""Of one answer of ``/tei/embed_all``, unless a single text may be longer: each token is a vector in
decimals, some kilobytes, written on the event loop."""


def add_embedding(router: APIRouter, lifecycle: Lifecycle) -> None:
    """Put the routes on TEI's router."""

    @router.post(
        "/embed",
        response_model=list[list[float]],
        responses=problems(*STATUSES),
        openapi_extra=json_body(TeiEmbedRequest, example=EXAMPLE),
        summary="Embed texts, as TEI does",
    )
    async def embed_texts(request: Request) -> Response:
        """Vectors by the bundle's default pooling."""
        with leased(request, lifecycle) as model:
            body = await read_json(request, TeiEmbedRequest, model.settings)
            seconds = timeout_s(request, model.settings)
            with told_as(body.place):
                found = await embed(request, model, body.texts, normalize=body.normalize, timeout_s=seconds)
            refuse_truncated(body.truncate, found.is_truncated)
            return json_response(found.vectors.tolist())

    @router.post(
        "/embed_all",
        response_model=list[list[list[float]]],
        responses=problems(*STATUSES),
        openapi_extra=json_body(TeiEmbedAllRequest, example=EXAMPLE),
        summary="Embed tokens, as TEI does",
    )
    async def embed_all_tokens(request: Request) -> Response:
        """A vector for each token of each text, special ones included, as the encoder gives it.

        They are there if some task of the bundle reads token states of single texts, as tagging does.
        """
        with leased(request, lifecycle) as model:
            body = await read_json(request, TeiEmbedAllRequest, model.settings)
            seconds = timeout_s(request, model.settings)
            with told_as(body.place):
                found = await embed_tokens(request, model, body.texts, timeout_s=seconds)
            refuse_truncated(body.truncate, found.is_truncated)
            _check_size(found.states, most=max(MAX_TOKENS, model.engine.manifest.encoder.max_length))
            return json_response([each.astype(np.float32).tolist() for each in found.states])


def _check_size(states: list[NDArray[np.floating]], *, most: int) -> None:
    tokens = sum(map(len, states))
    if tokens > most:
        raise RequestTooLarge(f"The texts have {tokens} tokens; the vectors of at most {most} fit an answer.")
