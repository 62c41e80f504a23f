"""Errors → ``application/problem+json`` (RFC 9457). The one place that does."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import ServiceError

MEDIA_TYPE = "application/problem+json"


def problem_response(error: ServiceError, *, path: str, request_id: str) -> Response:
    """The answer to a request for a path that ended in one of the service's errors."""
    return _response(problem(error, request_id=request_id), path, error.headers)


def problem(error: ServiceError, *, request_id: str) -> dict[str, Any]:
    """The document of one of the service's errors."""
    body = _problem(error.slug, error.title, error.status, error.detail, request_id)
    if error.errors:
        body["errors"] = [{"field": each.field, "message": each.message} for each in error.errors]
    return body


def routing_problem_response(error: HTTPException, *, path: str, method: str, request_id: str) -> Response:
    """The answer to a request that reached no route: 404 or 405."""
    phrase = HTTPStatus(error.status_code).phrase
    headers = {key.lower(): value for key, value in (error.headers or {}).items()}
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"There is no route {path}. The routes are listed at /openapi.json."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{path} does not take {method}. Allowed: {headers.get('allow', 'see /openapi.json')}."
    slug = phrase.lower().replace(" ", "-")
    return _response(_problem(slug, phrase, error.status_code, detail, request_id), path, headers)


def _problem(slug: str, title: str, status: int, detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": f"urn:encodeonce:error:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }


def protocol_members(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What the clients of other protocols look for in an error: extension members, as RFC 9457 allows.

    They show one string, so the faults of the fields join it; OpenAI's is a member of its own object.
    """
    faults = [f"{each['field']}: {each['message']}" for each in body.get("errors", ())]
    error = " ".join([body["detail"], *faults])
    if path.startswith("/v2"):
        return {"error": error}
    if path.startswith("/tei"):
        return {"error": error, "error_type": TEI_ERROR_TYPES.get(body["status"], "validation")}
    if path == "/v1/embeddings":
        kind = (
            "server_error" if body["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
        )
        return {"error": {"message": error, "type": kind, "code": body["type"].rpartition(":")[2]}}
    return {}


TEI_ERROR_TYPES = {429: "overloaded", 500: "backend", 503: "unhealthy", 504: "backend"}
"""text-embeddings-inference's words. The client's own faults are all ``validation``."""


def _response(body: dict[str, Any], path: str, headers: Mapping[str, str]) -> Response:
    return Response(
        to_json(body | protocol_members(path, body)),
        status_code=body["status"],
        headers=dict(headers),
        media_type=MEDIA_TYPE,
    )
