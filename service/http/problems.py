"""Errors → ``application/problem+json`` (RFC 9457). The one place that does."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import ServiceError

MEDIA_TYPE = "application/problem+json"


def problem_response(error: ServiceError, *, request_id: str) -> Response:
    """The answer to a request that ended in one of the service's errors."""
    body = _problem(error.slug, error.title, error.status, error.detail, request_id)
    if error.errors:
        body["errors"] = [{"field": each.field, "message": each.message} for each in error.errors]
    return _response(body, error.headers)


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
    return _response(_problem(slug, phrase, error.status_code, detail, request_id), headers)


def _problem(slug: str, title: str, status: int, detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": f"urn:encodeonce:error:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }


def _response(body: dict[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(to_json(body), status_code=body["status"], headers=dict(headers), media_type=MEDIA_TYPE)
