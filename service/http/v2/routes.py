"""``/v2``: health, metadata and inference."""

from contextlib import AbstractContextManager
from importlib.metadata import version as package_version
from typing import Any

from fastapi import APIRouter, Request, Response

from service.http.models import Leased, leased
from service.http.openapi import MODEL_HEADERS, json_body, problems
from service.http.requests import check_media_type, parse_body, read_body
from service.http.v2.framing import HEADER_LENGTH, split_body
from service.http.v2.infer import BINARY, infer
from service.http.v2.models import find_model
from service.http.v2.schemas import InferRequest, InferResponse, ModelMetadata, ServerMetadata
from service.lifecycle import Lifecycle

EXAMPLE = {
    "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Where is my order?"]}],
    "outputs": [{"name": "label"}, {"name": "score"}],
}
BINARY_CONTENT: dict[str, Any] = {
    BINARY: {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON as above, as long as Inference-Header-Content-Length says; then tensors.",
        }
    }
}
LENGTH_PARAMETER = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "Bytes of the JSON header, where tensors follow it.",
    "schema": {"type": "integer", "minimum": 0},
}
INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "responses": {200: {"content": BINARY_CONTENT}, **problems(400, 404, 413, 415, 422, 429, 500, 503, 504)},
    "openapi_extra": json_body(
        InferRequest, example=EXAMPLE, others=BINARY_CONTENT, parameters=[LENGTH_PARAMETER]
    ),
}
YES: dict[int | str, dict[str, Any]] = {200: {"description": "Yes."}}


def v2_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes of the Open Inference Protocol."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])
    _add_health(router, lifecycle)
    _add_metadata(router, lifecycle)

    @router.post("/models/{model}/infer", **INFER, summary="Infer")
    async def infer_model(request: Request, model: str) -> Response:
        """A task (or all, or vectors) on a batch of inputs; tensors in JSON or binary."""
        return await _infer(lifecycle, request, model)

    @router.post("/models/{model}/versions/{version}/infer", **INFER, summary="Infer with a version")
    async def infer_version(request: Request, model: str, version: str) -> Response:
        """The same, refused if another version is served."""
        return await _infer(lifecycle, request, model, version)

    return router


async def _infer(lifecycle: Lifecycle, request: Request, name: str, version: str | None = None) -> Response:
    with _leased(lifecycle, request, name, version) as found:
        model = find_model(found.engine, name, version)
        check_media_type(request, others=(BINARY,))
        body = await read_body(request, found.settings)
        header, payload = split_body(body, request.headers.get(HEADER_LENGTH))
        asked = parse_body(header, InferRequest, max_inputs=found.settings.max_inputs)
        return await infer(request, found, model, asked, payload)


def _leased(
    lifecycle: Lifecycle, request: Request, name: str, version: str | None
) -> AbstractContextManager[Leased]:
    """A path names a task of the model that answers by default, or a loaded model itself."""
    is_model = name in lifecycle.runtime.models.names
    return leased(request, lifecycle, name=name if is_model else None, version=version)


def _add_health(router: APIRouter, lifecycle: Lifecycle) -> None:
    @router.get("/health/live", response_class=Response, responses=YES, summary="Is the server alive?")
    async def live() -> Response:
        """200 as long as the event loop turns."""
        return Response()

    @router.get(
        "/health/ready",
        response_class=Response,
        responses={**YES, **problems(503)},
        summary="Is the server ready?",
    )
    async def ready() -> Response:
        """As ``/readyz``."""
        await lifecycle.check_ready()
        return Response()


def _add_metadata(router: APIRouter, lifecycle: Lifecycle) -> None:
    errors = problems(404, 422, 500, 503)
    described: dict[str, Any] = {
        "responses": errors,
        "openapi_extra": {"parameters": MODEL_HEADERS},
    }

    def describe(request: Request, name: str, version: str | None = None) -> ModelMetadata:
        with _leased(lifecycle, request, name, version) as found:
            return find_model(found.engine, name, version).metadata

    is_ready: dict[str, Any] = {
        **described,
        "response_class": Response,
        "responses": {**YES, **errors},
    }

    @router.get("", responses=problems(500), summary="Describe the server")
    async def server() -> ServerMetadata:
        """Name, version and extensions."""
        return ServerMetadata(
            name="encodeonce", version=package_version("encodeonce"), extensions=["binary_tensor_data"]
        )

    @router.get("/models/{model}", **described, summary="Describe a model")
    async def model_metadata(request: Request, model: str) -> ModelMetadata:
        """Its input and output tensors."""
        return describe(request, model)

    @router.get("/models/{model}/versions/{version}", **described, summary="Describe a version")
    async def version_metadata(request: Request, model: str, version: str) -> ModelMetadata:
        """Its input and output tensors."""
        return describe(request, model, version)

    @router.get("/models/{model}/ready", **is_ready, summary="Is a model ready?")
    async def model_ready(request: Request, model: str) -> Response:
        """Whether it is served."""
        describe(request, model)
        return Response()

    @router.get("/models/{model}/versions/{version}/ready", **is_ready, summary="Is a version ready?")
    async def version_ready(request: Request, model: str, version: str) -> Response:
        """Whether it is served in this version."""
        describe(request, model, version)
        return Response()
