"""What is read of a request, and what is refused before it costs anything."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import Request

from service.errors import MAX_COUNTED, MAX_FAULTS
from service.http.context import SCOPE_KEY, RequestContext
from service.http.requests import timeout_s
from service.schemas import Problem
from service.settings import Settings
from tests.service.http.test_app import JSON, assert_problem, serving
from tests.support.service_fakes import tasks_of_every_kind

MAX_INPUTS = 1024
MANY = [0] * (5 * MAX_INPUTS)
MANY_FIELDS = {f"k{n}": 0 for n in range(5 * MAX_INPUTS)}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tasks=tasks_of_every_kind(), max_inputs=MAX_INPUTS) as (client, _):
        yield client


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/predict", {"inputs": MANY}),
        ("/v1/tasks/intent/predict", {"inputs": MANY}),
        ("/v1/predict", {"inputs": [{"query": "a", "documents": MANY}]}),
        ("/v1/predict", {"inputs": [{"question": "a", "choices": MANY}]}),
        ("/v1/embeddings", {"input": MANY}),
        ("/v1/embeddings", {"input": ["a", *MANY]}),
        ("/tei/intent/predict", {"inputs": MANY}),
        ("/tei/intent/predict", {"inputs": [["a"]] * len(MANY)}),
        ("/tei/rerank", {"query": "a", "texts": MANY}),
        ("/tei/embed", {"inputs": MANY}),
        ("/v2/models/intent/infer", {"inputs": [TENSOR | {"data": ["a"] * len(MANY), "shape": [len(MANY)]}]}),
    ],
)
async def test_too_many_inputs_are_refused_on_their_number_whatever_they_are(
    client: httpx.AsyncClient, path: str, body: Any
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code in (413, 422), response.text[:500]
    assert f"{MAX_INPUTS}" in response.text
    assert len(Problem.model_validate_json(response.content).errors) <= 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/predict", MANY_FIELDS),
        ("/v1/predict", {"inputs": [MANY_FIELDS]}),
        ("/v1/predict", {"inputs": [{"tokens": MANY}]}),
        ("/v1/predict", {"inputs": [{"tokens": MANY}] * 9}),
        ("/v1/predict", {"inputs": [0] * MAX_INPUTS}),
        ("/v1/predict", {"inputs": [MANY_FIELDS] * 9}),
        ("/v1/predict", {"inputs": [" "] * MAX_INPUTS}),
        ("/v1/predict", {"inputs": ["a"], "tasks": MANY}),
        ("/v1/predict", {"inputs": [{"tokens": [""] * len(MANY)}]}),
        ("/v1/predict", {"inputs": [{"tokens": [""] * len(MANY)}] * 9}),
        ("/v1/embeddings", {"input": [" "] * MAX_INPUTS}),
        ("/v2/models/intent/infer", {"inputs": MANY}),
        ("/v2/models/intent/infer", {"inputs": [TENSOR | {"data": MANY}]}),
        ("/v2/models/intent/infer", {"inputs": [TENSOR | {"data": ["a"]}], "outputs": MANY}),
    ],
)
async def test_faults_without_number_make_a_short_answer(
    client: httpx.AsyncClient, path: str, body: Any
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code in (404, 422), response.text[:500]
    assert len(response.content) < 50_000


async def test_an_answer_tells_the_first_faults_and_how_many_there_are(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": [0] * MAX_INPUTS}), 422)
    assert problem.detail == "The body has 1024 faults. Told are the first 100 of 1024 faults."
    assert [each.field for each in problem.errors] == [f"inputs.{n}" for n in range(MAX_FAULTS)]


async def test_blank_texts_without_number_are_not_all_looked_for(client: httpx.AsyncClient) -> None:
    body = {"inputs": [{"tokens": [""] * len(MANY)}] * 9}
    problem = assert_problem(await client.post("/v1/predict", json=body), 422)
    assert problem.detail.endswith(f"Told are the first {MAX_FAULTS} of {MAX_COUNTED} or more faults.")


@pytest.mark.parametrize("field", ["tokens", "documents", "choices"])
async def test_of_a_list_within_an_input_the_first_fault_is_told(
    client: httpx.AsyncClient, field: str
) -> None:
    given = {field: ["a", "b", 0, 0], "query" if field == "documents" else "context": "a"}
    given = {"tokens": given["tokens"]} if field == "tokens" else given
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": [given] * 2}), 422)
    assert [each.field for each in problem.errors] == [f"inputs.0.{field}.2", f"inputs.1.{field}.2"]


async def test_of_an_inputs_unknown_fields_the_first_ones_are_named(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": ["a", MANY_FIELDS]}), 422)
    assert [each.field for each in problem.errors] == [*(f"inputs.1.k{n}" for n in range(10)), "inputs.1"]
    assert problem.errors[-1].message == "And 5110 more unknown fields."


async def test_more_faults_than_can_be_looked_at_are_counted_alone(client: httpx.AsyncClient) -> None:
    body = {f"k{n}": 0 for n in range(MAX_COUNTED)}  # and inputs are missing
    problem = assert_problem(await client.post("/v1/predict", json=body), 422)
    assert problem.detail == f"The body has {MAX_COUNTED + 1} faults, too many to tell any."


async def test_a_line_of_a_stream_is_bounded_as_a_body_is(client: httpx.AsyncClient) -> None:
    lines = [{"query": "a", "documents": MANY}, {"tokens": MANY}, MANY_FIELDS, "a"]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    response = await client.post(
        "/v1/predict", content=body, headers={"content-type": "application/x-ndjson"}
    )
    *answers, last, _summary = map(json.loads, response.text.splitlines())
    assert [each["problem"]["status"] for each in answers] == [413, 422, 422]
    assert "prediction" in last
    assert len(response.content) < 50_000


async def test_unknown_names_are_not_given_back_at_any_length(client: httpx.AsyncClient) -> None:
    body = {"inputs": ["a"], "tasks": ["x" * 10**6, "y"]}
    response = await client.post("/v1/predict", content=json.dumps(body), headers=JSON)
    problem = assert_problem(response, 404)
    assert "'y'" in problem.detail
    assert len(response.content) < 10_000


async def never_whole(started: asyncio.Event) -> AsyncIterator[bytes]:
    """A body of which one byte comes."""
    yield b"{"
    started.set()
    await asyncio.Event().wait()


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/embeddings", "/v2/models/intent/infer", "/tei/embed"])
async def test_a_body_that_never_ends_leaves_at_its_deadline(path: str) -> None:
    started = asyncio.Event()
    headers = JSON | {"x-request-timeout-ms": "50"}
    async with serving(max_requests=1) as (client, _):
        slow = asyncio.create_task(client.post(path, content=never_whole(started), headers=headers))
        await started.wait()
        assert_problem(await client.post("/v1/predict", json={"inputs": ["a"]}), 429)
        assert_problem(await slow, 504)
        assert (await client.post("/v1/predict", json={"inputs": ["a"]})).status_code == 200


def test_a_request_has_what_its_body_has_left_of_the_time() -> None:
    began = RequestContext(request_id="a", started_s=time.perf_counter() - 10)
    scope = {"type": "http", "headers": [], SCOPE_KEY: began}
    assert 0 < timeout_s(Request(scope), Settings(timeout_s=30)) <= 20
    assert timeout_s(Request(scope), Settings(timeout_s=5)) < 0
    scope["headers"] = [(b"x-request-timeout-ms", b"12000")]
    assert 0 < timeout_s(Request(scope), Settings(timeout_s=5)) <= 2
