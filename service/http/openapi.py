"""What FastAPI cannot see by itself: bodies that the routes read within limits, and the problem documents."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from service.http.access import is_open
from service.http.problems import MEDIA_TYPE
from service.http.tei.schemas import (
    TeiEmbedAllRequest,
    TeiEmbedRequest,
    TeiPredictRequest,
    TeiRerankRequest,
)
from service.http.v2.schemas import InferRequest
from service.schemas import EmbeddingsRequest, PredictRequest, Problem, TaskPredictRequest

REF = "#/components/schemas/{model}"
BODIES: tuple[type[BaseModel], ...] = (
    PredictRequest,
    TaskPredictRequest,
    EmbeddingsRequest,
    InferRequest,
    TeiPredictRequest,
    TeiRerankRequest,
    TeiEmbedRequest,
    TeiEmbedAllRequest,
)

MEANINGS = {
    400: "The body is not JSON.",
    401: "The key is missing or wrong.",
    403: "The key does not open it, or it is switched off.",
    404: "Unknown task or model; the known ones are named.",
    409: "Not as things stand; the detail says what would have to be done first.",
    413: "The body, or the batch in it, is too large.",
    415: "The body is not called JSON.",
    422: "A field is invalid, or an input fits none of the tasks; every fault is named.",
    429: "The queue is full, or the key's rate used up; Retry-After says for how long.",
    500: "An internal fault.",
    503: "Starting or draining.",
    504: "The deadline passed.",
}


ADMIN_KEY = {"type": "http", "scheme": "bearer", "description": "ENCODEONCE_ADMIN_KEY"}
API_KEYS = {
    "bearerKey": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "headerKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A header that a request may have, as a parameter of a route."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


MODEL_HEADERS = [
    header("x-model-name", "The model that should answer, of several.", {"type": "string"}),
    header("x-model-version", "The version that must answer; 404 if it is not loaded.", {"type": "string"}),
    header(
        "x-canary",
        "Whether the canary version should answer, where there is one. By default the request id decides.",
        {"type": "string", "enum": ["always", "never"]},
    ),
]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of a route: the statuses it can end in, each a problem document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model=Problem.__name__)}}}
    return {status: {"description": MEANINGS[status], "content": content} for status in statuses}


def request_body(
    model: type[BaseModel], *, example: dict[str, Any], others: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The part of a route's ``openapi_extra`` that describes its body.

    Args:
        model: Of the JSON body.
        example: Of the JSON body.
        others: Content of further media types.
    """
    schema = {"$ref": REF.format(model=model.__name__)}
    content = {"application/json": {"schema": schema, "example": example}, **(others or {})}
    return {"requestBody": {"required": True, "content": content}}


def json_body(
    model: type[BaseModel],
    *,
    example: dict[str, Any],
    others: dict[str, Any] | None = None,
    parameters: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A route's ``openapi_extra``: its body, and the headers that it heeds.

    Args:
        model: Of the JSON body.
        example: Of the JSON body.
        others: Content of further media types.
        parameters: Beside those that every such route has.
    """
    return {
        **request_body(model, example=example, others=others),
        "parameters": [
            *parameters,
            header(
                "x-request-timeout-ms",
                "Milliseconds this request may take, up to the service's bound.",
                {"type": "number", "exclusiveMinimum": 0},
            ),
            header(
                "x-priority",
                "The request's share of the encoder. By default up to 512 new tokens are interactive.",
                {"type": "string", "enum": ["interactive", "bulk"]},
            ),
            *MODEL_HEADERS,
        ],
    }


def install_openapi(app: FastAPI, *, bodies: Sequence[type[BaseModel]]) -> None:
    """Give the application its document, built on first use.

    Args:
        app: With its routes.
        bodies: Models of the bodies that its routes read by themselves.
    """

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            models: tuple[type[BaseModel], ...] = (*bodies, Problem)
            for model in models:
                schema = model.model_json_schema(ref_template=REF)
                schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
            _drop_generated_422(document)
            _ask_for_the_admin_key(document)
            _offer_api_keys(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _drop_generated_422(document: dict[str, Any]) -> None:
    """FastAPI adds its own 422 to a route with a parameter. Ours are strings, which cannot be invalid."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _ask_for_the_admin_key(document: dict[str, Any]) -> None:
    schemes = document["components"].setdefault("securitySchemes", {})
    for methods in document["paths"].values():
        for operation in methods.values():
            if "admin" in operation.get("tags", ()):
                schemes["adminKey"] = ADMIN_KEY
                operation["security"] = [{"adminKey": []}]


def _offer_api_keys(document: dict[str, Any]) -> None:
    """Every route that may take an API key says so, and how it ends without one."""
    schemes = document["components"]["securitySchemes"]
    refusals = {str(status): response for status, response in problems(401, 403, 429).items()}
    for path, methods in document["paths"].items():
        if is_open(path, metrics_need_key=True):
            continue
        for operation in methods.values():
            schemes |= API_KEYS
            operation["responses"] = refusals | operation["responses"]
            # An empty requirement: without keys in the settings, none is needed.
            operation["security"] = [{"bearerKey": []}, {"headerKey": []}, {}]
