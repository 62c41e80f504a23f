"""``POST /v1/embeddings``: OpenAI's API, from the same cached encoder."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from service.engine import Embeddings
from service.http.answering import embed
from service.http.answers import json_response
from service.http.direct import DirectRoute
from service.http.models import leased
from service.http.openapi import json_body, problems
from service.http.requests import read_json, timeout_s
from service.lifecycle import Lifecycle
from service.schemas import EmbeddingsRequest, EmbeddingsResponse

EXAMPLE = {"input": ["The parcel never arrived.", "Where is my order?"]}


def embeddings_router(lifecycle: Lifecycle) -> APIRouter:
    """The route that gives vectors."""
    router = APIRouter(tags=["embeddings"], route_class=DirectRoute)

    @router.post(
        "/v1/embeddings",
        response_model=EmbeddingsResponse,
        responses=problems(400, 404, 413, 415, 422, 429, 500, 503, 504),
        openapi_extra=json_body(EmbeddingsRequest, example=EXAMPLE),
        summary="Embed texts",
    )
    async def embed_texts(request: Request) -> Response:
        """Vectors of unit length, by the default pooling of the model that the body names."""
        with leased(request, lifecycle) as admitted:
            body = await read_json(request, EmbeddingsRequest, admitted.settings)
        # Nothing happens between the leases: who was admitted stays so.
        name, _, version = (body.model or "").partition("@")
        with leased(request, lifecycle, name=name, version=version) as model:
            texts = [body.input] if isinstance(body.input, str) else body.input
            found = await embed(request, model, texts, timeout_s=timeout_s(request, model.settings))
            return json_response(_body(found, model.name, in_base64=body.encoding_format == "base64"))

    return router


def _body(found: Embeddings, model: str, *, in_base64: bool) -> dict[str, Any]:
    tokens = found.usage.tokens
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if in_base64 else vector.tolist(),
                **({"truncated": True} if is_truncated else {}),
            }
            for index, (vector, is_truncated) in enumerate(
                zip(found.vectors, found.is_truncated, strict=True)
            )
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: NDArray[np.float32]) -> str:
    """Little-endian float32, as OpenAI's client expects."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
