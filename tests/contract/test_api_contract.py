"""schemathesis over the OpenAPI document: what it generates from the schemas is answered as they say."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CheckFunction
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from service.http.app import create_app
from service.lifecycle import Lifecycle

CHECKS: list[CheckFunction] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
NAMES = {
    "task": ["sentiment", "stars", "duplicate"],
    "model": ["sentiment", "duplicate", "tiny", "_embeddings"],
    "version": ["1"],
}


def with_real_names(document: dict[str, Any]) -> dict[str, Any]:
    """The document for the tiny bundle: a random name would end every request in the same 404."""
    for methods in document["paths"].values():
        for operation in methods.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [
                each for each in parameters if each["name"] not in ("x-model-name", "x-model-version")
            ]
            for each in operation["parameters"]:
                if each["in"] == "path" and each["name"] in NAMES:
                    each["schema"] = {"enum": NAMES[each["name"]]}
    tasks = document["components"]["schemas"]["PredictRequest"]["properties"]["tasks"]
    tasks["anyOf"][0]["items"] = {"enum": NAMES["task"]}
    model = document["components"]["schemas"]["EmbeddingsRequest"]["properties"]["model"]
    model["anyOf"][0]["enum"] = ["tiny", "tiny@1"]
    return document


OPERATIONS = [
    found.ok()
    for found in schemathesis.openapi.from_dict(
        with_real_names(create_app(Lifecycle()).openapi())
    ).get_all_operations()
]


@pytest.mark.integration
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_operation_answers_as_its_schema_says(operation: Any, tiny_service: str) -> None:
    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if "requestBody" in operation.definition.raw:
        cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @given(cases)
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: schemathesis.Case) -> None:
        response = case.call(base_url=tiny_service)
        # Among what is generated are deadlines of next to nothing.
        assert response.status_code < 500 or response.status_code == 504
        case.validate_response(response, checks=CHECKS)

    ask()
