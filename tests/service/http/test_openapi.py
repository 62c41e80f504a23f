"""The one OpenAPI document: complete, consistent, and true to what the routes do."""

import re
from typing import Any

import pytest

from service.http.app import create_app
from service.lifecycle import Lifecycle

ROUTES = {
    "/v1/predict": "post",
    "/v1/tasks/{task}/predict": "post",
    "/v1/tasks": "get",
    "/v1/tasks/{task}": "get",
    "/v1/embeddings": "post",
    "/livez": "get",
    "/healthz": "get",
    "/readyz": "get",
    "/metrics": "get",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Lifecycle()).openapi()


def test_it_describes_every_route_and_nothing_else(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {path: next(iter(methods)) for path, methods in document["paths"].items()} == ROUTES


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)))
    assert {"PredictRequest", "PredictResponse", "Problem", "TextInput"} <= references
    assert references <= schemas.keys()
    assert "#/$defs" not in str(document)


def test_routes_with_a_body_document_it_with_an_example_and_their_errors(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if operation.get("requestBody") is None:
                continue
            assert "example" in operation["requestBody"]["content"]["application/json"], path
            assert {"200", "400", "413", "415", "422", "429", "500", "503", "504"} <= operation[
                "responses"
            ].keys()


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    assert list(response["content"]) == ["application/problem+json"]


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [op["operationId"] for methods in document["paths"].values() for op in methods.values()]
    assert len(set(ids)) == len(ids)
