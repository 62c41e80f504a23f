"""Good requests, to be broken: one for every route that takes a body, and the others."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.fuzz.case import Case
from loadtests.fuzz.mutations import JSON


def seeds_of(document: Mapping[str, Any], tasks: Sequence[str]) -> list[Case]:
    """From the service's OpenAPI document: its examples, with real names in the paths.

    Args:
        document: ``/openapi.json``.
        tasks: Names of tasks.
    """
    cases = []
    for route, methods in document["paths"].items():
        for method, operation in methods.items():
            for name in (*tasks, "nope"):
                target = route
                for parameter in ("{task}", "{model}", "{name}"):
                    target = target.replace(parameter, name)
                target = target.replace("{version}", "1")
                cases.append(_seed(route, method.upper(), target, operation))
                if target == route:
                    break
    return [*cases, *_binary(tasks)]


def _seed(route: str, method: str, target: str, operation: Mapping[str, Any]) -> Case:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return Case(kind="seed", method=method, target=target, route=route)
    body = json.dumps(content["application/json"]["example"]).encode()
    return Case(kind="seed", method=method, target=target, route=route, headers=(JSON,), body=body)


def _binary(tasks: Sequence[str]) -> list[Case]:
    """Binary tensors and streams, which the examples do not show."""
    payload = b"\x08\x00\x00\x00red shoe"
    tensor = {
        "name": "text",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(payload)},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = ("Inference-Header-Content-Length", str(len(header)))
    lines = b'"red shoe"\n{"text": "late"}\n\n{"text": "a", "text_pair": "b"}\n'
    ndjson = ("Content-Type", "application/x-ndjson")
    infer = [
        Case(
            kind="seed",
            method="POST",
            target=f"/v2/models/{task}/infer",
            route="/v2/models/{model}/infer",
            headers=(length,),
            body=header + payload,
        )
        for task in tasks
    ]
    stream = Case(
        kind="seed", method="POST", target="/v1/predict", route="/v1/predict", headers=(ndjson,), body=lines
    )
    return [*infer, stream, stream]
