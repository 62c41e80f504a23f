"""The one OpenAPI document: complete, consistent, and true to what the routes do."""

import re
from typing import Any, get_args

import pytest

from service.http.app import create_admin_app, create_app
from service.inputs import FIELDS
from service.kinds.answers import Answer
from service.lifecycle import Lifecycle

ROUTES = {
    "/v1/predict": "post",
    "/v1/tasks/{task}/predict": "post",
    "/v1/tasks": "get",
    "/v1/tasks/{task}": "get",
    "/v1/models": "get",
    "/v1/embeddings": "post",
    "/v2": "get",
    "/v2/health/live": "get",
    "/v2/health/ready": "get",
    "/v2/models/{model}": "get",
    "/v2/models/{model}/ready": "get",
    "/v2/models/{model}/infer": "post",
    "/v2/models/{model}/versions/{version}": "get",
    "/v2/models/{model}/versions/{version}/ready": "get",
    "/v2/models/{model}/versions/{version}/infer": "post",
    "/tei/predict": "post",
    "/tei/{task}/predict": "post",
    "/tei/rerank": "post",
    "/tei/{task}/rerank": "post",
    "/tei/embed": "post",
    "/tei/embed_all": "post",
    "/tei/info": "get",
    "/tei/health": "get",
    "/livez": "get",
    "/healthz": "get",
    "/readyz": "get",
    "/metrics": "get",
}
ADMIN_ROUTES = {
    "/admin/v1/models": "get",
    "/admin/v1/models/{name}/{version}": "delete",
    "/admin/v1/routes/{name}": "patch",
    "/admin/v1/routes/{name}/rollback": "post",
    "/admin/v1/routes/{name}/drift": "get",
    "/admin/v1/status": "get",
    "/admin/v1/drain": "post",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Lifecycle()).openapi()


def routes_of(document: dict[str, Any]) -> dict[str, str]:
    assert document["openapi"].startswith("3.1")
    return {path: next(iter(methods)) for path, methods in document["paths"].items()}


def test_it_describes_every_route_and_nothing_else(document: dict[str, Any]) -> None:
    assert routes_of(document) == ROUTES
    assert "adminKey" not in document["components"]["securitySchemes"]
    assert "LoadRequest" not in document["components"]["schemas"]


def test_the_admin_api_is_described_where_it_is_served() -> None:
    assert routes_of(create_app(Lifecycle(), with_admin=True).openapi()) == ROUTES | ADMIN_ROUTES
    own = create_admin_app(Lifecycle()).openapi()
    assert routes_of(own) == ADMIN_ROUTES
    assert list(own["components"]["securitySchemes"]) == ["adminKey"]
    assert {"LoadRequest", "RouteRequest", "Problem"} <= own["components"]["schemas"].keys()
    assert "PredictRequest" not in own["components"]["schemas"]


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)))
    assert {"PredictRequest", "PredictResponse", "Problem", "TextInput", "ChoiceInput"} <= references
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


def test_every_form_of_input_and_of_answer_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    item = schemas["PredictRequest"]["properties"]["inputs"]["items"]
    forms = {each["$ref"].rsplit("/", 1)[1] for each in item["oneOf"] if "$ref" in each}
    assert {"type": "string"} in item["oneOf"]
    assert forms == {"TextInput", *(form.__name__ for form in FIELDS if form is not str)}
    for form in forms:
        assert schemas[form]["additionalProperties"] is False
        assert schemas[form]["description"]
    answers = schemas["TaskPredictResponse"]["properties"]["predictions"]["items"]["anyOf"]
    assert [each["$ref"].rsplit("/", 1)[1] for each in answers] == [
        answer.__name__ for answer in get_args(Answer)
    ]


@pytest.mark.parametrize("model", ["PredictRequest", "TaskPredictRequest"])
def test_every_option_is_described(document: dict[str, Any], model: str) -> None:
    properties = document["components"]["schemas"][model]["properties"]
    assert all(properties[name]["description"] for name in ("top_k", "return_scores", "return_logits"))


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    assert list(response["content"]) == ["application/problem+json"]


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [op["operationId"] for methods in document["paths"].values() for op in methods.values()]
    assert len(set(ids)) == len(ids)
