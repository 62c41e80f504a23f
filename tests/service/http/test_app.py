"""The application over ASGI: routes, errors, headers. The engine is real, its sessions are fakes."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from export.manifest import GoldenExample, TaskEntry
from service.assembly import Runtime
from service.http.app import create_app
from service.lifecycle import Lifecycle
from service.schemas import (
    EmbeddingsResponse,
    OpenAiError,
    PredictResponse,
    Problem,
    TaskInfo,
    TaskList,
    TaskPredictResponse,
)
from tests.support.service_fakes import (
    PATIENCE_S,
    POISON,
    FakeEncoderSession,
    FakeHeadSession,
    Parts,
    parts,
    running,
    task,
)

JSON = {"content-type": "application/json"}


def client_of(lifecycle: Lifecycle) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(lifecycle)), base_url="http://test")


@asynccontextmanager
async def serving(
    encoder: FakeEncoderSession | None = None, tasks: Mapping[str, TaskEntry] | None = None, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Runtime]]:
    lifecycle = Lifecycle()
    async with running(parts(tasks, encoder=encoder), **settings) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        yield client, runtime


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(max_inputs=4, max_text_chars=50, max_body_bytes=2000) as (client, _):
        yield client


def assert_problem(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == status
    assert problem.type.startswith("urn:encodeonce:error:")
    assert problem.request_id == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return problem


async def test_predict_answers_the_tasks_that_fit_each_input(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/predict", json={"inputs": ["a b", {"text": "a", "text_pair": "b"}]})
    answer = PredictResponse.model_validate_json(response.content)
    assert (answer.model, answer.version) == ("fake", "1.2.3")
    assert (response.headers["x-model-name"], response.headers["x-model-version"]) == ("fake", "1.2.3")
    assert [set(each) for each in answer.predictions] == [
        {"intent", "sentiment", "urgency"},
        {"duplicate", "similar"},
    ]
    assert answer.usage.model_dump() == {
        "tokens": 4 + 5 + 3 + 3,
        "encoder_rows": 4,
        "cache_hits": 0,
        "coalesced": 0,
    }


async def test_the_answer_has_exactly_the_documented_shape(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/predict", json={"inputs": ["a"], "tasks": ["intent", "sentiment"]})).json()
    assert list(body) == ["model", "version", "predictions", "usage"]
    assert list(body["predictions"][0]) == ["intent", "sentiment"]
    assert list(body["predictions"][0]["intent"]) == ["label", "score", "scores"]
    assert list(body["predictions"][0]["sentiment"]) == ["value"]


async def test_predict_for_one_task_answers_a_list(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/tasks/intent/predict", json={"inputs": ["a", "b"]})
    answer = TaskPredictResponse.model_validate_json(response.content)
    assert [set(each) for each in answer.predictions] == [{"label", "score", "scores"}] * 2


async def test_tasks_are_listed_and_described(client: httpx.AsyncClient) -> None:
    tasks = TaskList.model_validate_json((await client.get("/v1/tasks")).content)
    assert [each.name for each in tasks.tasks] == ["intent", "sentiment", "urgency", "duplicate", "similar"]
    info = TaskInfo.model_validate_json((await client.get("/v1/tasks/intent")).content)
    assert info.labels == ["ask", "buy", "leave"]
    assert info.metrics == {"accuracy": 0.9}


async def test_embeddings_have_openais_shape_in_floats_and_base64(client: httpx.AsyncClient) -> None:
    floats = EmbeddingsResponse.model_validate_json(
        (await client.post("/v1/embeddings", json={"input": ["a b", "c"], "model": "fake"})).content
    )
    packed = (await client.post("/v1/embeddings", json={"input": "a b", "encoding_format": "base64"})).json()
    vector = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), dtype="<f4")
    assert vector.tolist() == pytest.approx(floats.data[0].embedding, abs=1e-7)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)
    assert floats.usage.model_dump() == {"prompt_tokens": 7, "total_tokens": 7}
    assert [each.index for each in floats.data] == [0, 1]


async def test_embeddings_are_of_the_model_that_is_named_or_of_none() -> None:
    lifecycle = Lifecycle()
    async with (
        running(parts(), parts(version="2"), max_requests=1) as runtime,
        client_of(lifecycle) as client,
    ):
        lifecycle.get_ready(runtime)
        await runtime.models.load(Path("fake/2"))
        for model, version in ((None, "1.2.3"), ("fake", "1.2.3"), ("fake@1.2.3", "1.2.3"), ("fake@2", "2")):
            answer = await client.post("/v1/embeddings", json={"input": "a", "model": model})
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-model-version"] == version
        for model in ("text-embedding-3-small", "fake@9", "fake2"):
            response = await client.post("/v1/embeddings", json={"input": "a", "model": model})
            problem = assert_problem(response, 404)
            assert "Loaded: " in problem.detail
            assert "x-model-name" not in response.headers, "nobody has answered"
            assert problem.error == OpenAiError(
                message=problem.detail, type="invalid_request_error", code="unknown-model"
            )
        for model in ("", "@2", "fake@", "fake@2@3"):
            response = await client.post("/v1/embeddings", json={"input": "a", "model": model})
            assert assert_problem(response, 422).errors[0].field == "model"


@pytest.mark.parametrize("body", ["", "{", '{"inputs": ["a"]', "nope", '{"inputs": ["\\ud800"]}', "[" * 1000])
async def test_what_is_not_json_is_400(client: httpx.AsyncClient, body: str) -> None:
    assert_problem(await client.post("/v1/predict", content=body, headers=JSON), 400)


async def test_bytes_that_are_not_utf8_are_400(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post("/v1/predict", content=b'{"inputs": ["\xff"]}', headers=JSON), 400)


@pytest.mark.parametrize("route", ["/v1/tasks/ner/predict", "/v1/predict"])
async def test_an_unknown_task_is_404_and_names_the_known_ones(client: httpx.AsyncClient, route: str) -> None:
    body = {"inputs": ["a"], "tasks": ["ner"]} if route == "/v1/predict" else {"inputs": ["a"]}
    problem = assert_problem(await client.post(route, json=body), 404)
    assert problem.detail == (
        "Unknown task 'ner'. This bundle has: duplicate, intent, sentiment, similar, urgency."
    )


@pytest.mark.parametrize(
    "path", ["/nope", "/v1", "/v1/predict/", "/v1/tasks/ner", "/docs.json", "/v2/predict"]
)
async def test_an_unknown_route_is_404(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/predict"), ("DELETE", "/v1/tasks"), ("POST", "/livez")]
)
async def test_a_wrong_method_is_405_and_names_the_right_one(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path)
    assert_problem(response, 405)
    assert response.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/livez",
        "/healthz",
        "/readyz",
        "/v2/health/ready",
        "/tei/health",
        "/metrics",
        "/v1/tasks",
        "/",
        "/nope",
    ],
)
async def test_head_is_get_without_its_body(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert head.content == b""
    assert head.status_code == got.status_code
    assert head.headers.keys() == got.headers.keys()
    metrics = (await client.get("/metrics")).text
    route = "unmatched" if path == "/nope" else path
    assert (
        f'encodeonce_requests_total{{method="HEAD",route="{route}",status="{got.status_code}"}} 1.0'
        in metrics
    )


async def test_a_body_beyond_the_bound_is_413_declared_or_not(client: httpx.AsyncClient) -> None:
    large = json.dumps({"inputs": ["a" * 3000]}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield large[:1000]
        yield large[1000:]

    assert_problem(await client.post("/v1/predict", content=large, headers=JSON), 413)
    assert_problem(await client.post("/v1/predict", content=chunks(), headers=JSON), 413)


async def test_too_many_inputs_are_413(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": ["a"] * 5}), 413)
    assert problem.detail == "5 inputs; at most 4 a request. Split it."
    assert_problem(await client.post("/v1/embeddings", json={"input": ["a"] * 5}), 413)


async def test_a_request_beyond_the_whole_queue_is_413() -> None:
    async with serving(queue_tokens=10) as (client, _):
        assert_problem(await client.post("/v1/predict", json={"inputs": ["a b c d e f g h i j k"]}), 413)


async def test_another_media_type_is_415(client: httpx.AsyncClient) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/vnd.bentoml+pickle"):
        response = await client.post("/v1/predict", content="{}", headers={"content-type": media_type})
        assert_problem(response, 415)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["inputs"]),
        ([], ["body"]),
        ({"inputs": "a"}, ["inputs"]),
        ({"inputs": []}, ["inputs"]),
        ({"inputs": ["a", {"txt": "b"}, 3], "x": 1}, ["inputs.1.txt", "inputs.2", "x"]),
        (
            {"inputs": ["a" * 51, {"text": "b", "text_pair": "c" * 51}]},
            ["inputs.0.text", "inputs.1.text_pair"],
        ),
        ({"inputs": ["a", {"text": "b", "text_pair": "c"}], "tasks": ["duplicate"]}, ["inputs.0"]),
        ({"inputs": [None]}, ["inputs.0"]),
    ],
)
async def test_faulty_fields_are_422_and_all_are_named(
    client: httpx.AsyncClient, body: Any, fields: list[str]
) -> None:
    problem = assert_problem(await client.post("/v1/predict", json=body), 422)
    assert [each.field for each in problem.errors] == fields


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", ""])
async def test_a_bad_timeout_is_422(client: httpx.AsyncClient, value: str) -> None:
    response = await client.post(
        "/v1/predict", json={"inputs": ["a"]}, headers={"x-request-timeout-ms": value}
    )
    assert assert_problem(response, 422).errors[0].field == "x-request-timeout-ms"


async def test_a_full_queue_is_429_with_retry_after() -> None:
    encoder = FakeEncoderSession()
    async with serving(encoder, queue_tokens=16, max_batch_tokens=8) as (client, _):
        encoder.gate.clear()
        held = [
            asyncio.create_task(client.post("/v1/predict", json={"inputs": [f"a b c d {n}"]}))
            for n in range(2)
        ]
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        response = await client.post("/v1/predict", json={"inputs": ["a b c d e f g h"]})
        assert_problem(response, 429)
        assert int(response.headers["retry-after"]) >= 1
        encoder.gate.set()
        assert [each.status_code for each in await asyncio.gather(*held)] == [200, 200]


async def test_a_passed_deadline_is_504() -> None:
    encoder = FakeEncoderSession()
    async with serving(encoder) as (client, _):
        encoder.gate.clear()
        body = {"inputs": ["a"]}
        assert_problem(
            await client.post("/v1/predict", json=body, headers={"x-request-timeout-ms": "10"}), 504
        )
        encoder.gate.set()


async def test_before_the_start_and_at_the_end_it_is_503_but_alive() -> None:
    lifecycle = Lifecycle()
    async with running(parts()) as runtime, client_of(lifecycle) as client:
        for _ in range(2):
            assert_problem(await client.get("/readyz"), 503)
            assert_problem(await client.post("/v1/predict", json={"inputs": ["a"]}), 503)
            assert_problem(await client.get("/v1/tasks"), 503)
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/metrics")).status_code == 200
            lifecycle.get_ready(runtime)
            assert (await client.get("/readyz")).json() == {"status": "ready"}
            lifecycle.stop()


async def test_while_draining_it_is_not_ready_but_answers_those_who_did_not_notice() -> None:
    lifecycle = Lifecycle()
    async with running(parts()) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        lifecycle.drain()
        assert_problem(await client.get("/readyz"), 503)
        assert (await client.post("/v1/predict", json={"inputs": ["a"]})).status_code == 200


async def test_an_encoder_that_fails_on_everything_turns_readiness_off_until_it_recovers() -> None:
    encoder = FakeEncoderSession()
    lifecycle = Lifecycle()
    async with running(parts(encoder=encoder)) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        encoder.is_lost = True
        for number in range(3):
            assert (await client.get("/readyz")).status_code == 200
            assert_problem(await client.post("/v1/predict", json={"inputs": [f"a {number}"]}), 500)
        assert_problem(await client.get("/readyz"), 503)
        encoder.is_lost = False
        assert (await client.get("/readyz")).status_code == 200
        assert runtime.batcher.failed_batches == 0


async def intent_that_knows_its_answer() -> tuple[Parts, FakeHeadSession]:
    """A bundle with a golden example for its task, and the task's head."""
    tasks = {"intent": task()}
    async with serving(tasks=tasks) as (client, _):
        answer = await client.post("/v1/predict", json={"inputs": ["a b"], "return_logits": True})
    logits = tuple(answer.json()["predictions"][0]["intent"]["logits"])
    example = GoldenExample(task="intent", input={"text": "a b"}, logits=(logits,))
    known = parts(tasks, golden=[example])
    head = known.heads["intent"]
    assert isinstance(head, FakeHeadSession)
    return known, head


async def test_a_head_that_fails_on_everything_turns_readiness_off_until_it_recovers() -> None:
    known, head = await intent_that_knows_its_answer()
    lifecycle = Lifecycle()
    async with running(known) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        head.is_lost = True
        for number in range(3):
            assert (await client.get("/readyz")).status_code == 200
            assert_problem(await client.post("/v1/predict", json={"inputs": [f"a {number}"]}), 500)
        assert "encodeonce_failed_head_runs 3" in (await client.get("/metrics")).text
        assert "'intent'" in assert_problem(await client.get("/readyz"), 503).detail
        head.is_lost = False
        assert (await client.get("/readyz")).status_code == 200
        assert "encodeonce_failed_head_runs 0" in (await client.get("/metrics")).text


async def test_a_head_that_answers_its_golden_example_leaves_it_ready() -> None:
    known, head = await intent_that_knows_its_answer()
    lifecycle = Lifecycle()
    async with running(known) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        head.is_lost = True
        for number in range(5):
            assert_problem(await client.post("/v1/predict", json={"inputs": [f"a {number}"]}), 500)
        head.is_lost = False
        assert (await client.get("/readyz")).status_code == 200


async def test_inputs_that_no_encoder_could_take_leave_it_ready() -> None:
    lifecycle = Lifecycle()
    async with running(parts()) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        for number in range(5):
            assert_problem(await client.post("/v1/predict", json={"inputs": [f"{POISON} {number}"]}), 500)
        assert (await client.get("/readyz")).status_code == 200


async def test_more_requests_than_the_bound_are_429_before_they_are_read() -> None:
    encoder = FakeEncoderSession()
    async with serving(encoder, max_requests=1) as (client, _):
        encoder.gate.clear()
        held = asyncio.create_task(client.post("/v1/predict", json={"inputs": ["held"]}))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        response = await client.post("/v1/predict", content=b"{", headers=JSON)
        assert_problem(response, 429)
        assert int(response.headers["retry-after"]) >= 1
        encoder.gate.set()
        assert (await held).status_code == 200


async def test_a_priority_that_is_none_is_422(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/predict", json={"inputs": ["a"]}, headers={"x-priority": "high"})
    assert assert_problem(response, 422).errors[0].field == "x-priority"
    for priority in ("interactive", "Bulk"):
        body = {"inputs": ["a"]}
        response = await client.post("/v1/predict", json=body, headers={"x-priority": priority})
        assert response.status_code == 200


async def test_a_fault_of_the_encoder_is_500_without_a_trace(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": [POISON]}), 500)
    assert problem.detail == "The encoder failed on an input of this request."


async def test_an_unforeseen_fault_is_500_with_the_request_id(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"x-request-id": "id-7", "origin": "https://shop.example"}
    async with serving(cors_origins="https://shop.example") as (client, runtime):
        runtime.cache.get = None  # type: ignore[assignment,method-assign]
        response = await client.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
        assert_problem(response, 500)
        assert response.headers["access-control-allow-origin"] == "https://shop.example", "pages may read it"
        assert "NoneType" not in response.text
        assert "Request id-7 failed" in caplog.text


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/predict"), ("GET", "/livez"), ("GET", "/nope"), ("PUT", "/v1/predict")]
)
async def test_every_answer_has_a_request_id_and_stage_times(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path, json={"inputs": ["a"]})
    assert response.headers["x-request-id"]
    stages = [each.split(";")[0] for each in response.headers["server-timing"].split(", ")]
    assert stages == ["tokenise", "queue", "encode", "head", "total"]


async def test_a_sensible_request_id_is_echoed_and_another_replaced(client: httpx.AsyncClient) -> None:
    echoed = await client.get("/livez", headers={"x-request-id": "trace:1.2_3-4"})
    assert echoed.headers["x-request-id"] == "trace:1.2_3-4"
    for bad in ("", "a b", "x" * 129, "a\tb"):
        replaced = await client.get("/livez", headers={"x-request-id": bad})
        assert len(replaced.headers["x-request-id"]) == 32


async def test_a_client_that_leaves_takes_its_work_out_of_the_queue() -> None:
    encoder = FakeEncoderSession()
    async with serving(encoder) as (client, runtime):
        encoder.gate.clear()
        held = asyncio.create_task(client.post("/v1/predict", json={"inputs": ["held"]}))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        status = await _post_and_leave(client, {"inputs": ["left"]})
        assert status == 499
        assert runtime.batcher.queue_len == 0
        encoder.gate.set()
        assert (await held).status_code == 200
    assert encoder.rows_encoded == 1


async def _post_and_leave(client: httpx.AsyncClient, body: dict[str, Any]) -> int:
    """Send a whole request by hand, and disconnect before the answer, which httpx would not tell."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    messages = iter(
        [{"type": "http.request", "body": json.dumps(body).encode()}, {"type": "http.disconnect"}]
    )
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/predict", "raw_path": b"/v1/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
        "root_path": "", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    await transport.app(scope, receive, send)
    await asyncio.sleep(0)
    return int(sent[0]["status"])


async def test_metrics_count_requests_stages_batches_and_lookups(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post("/v1/predict", json={"inputs": ["a b"], "tasks": ["intent"]})
    await client.post("/v1/embeddings", json={"input": "a b"})
    await client.get("/nope/with/an/unbounded/path")
    await client.request("MADE-UP", "/v1/predict")
    text = (await client.get("/metrics")).text
    for line in (
        'encodeonce_requests_total{method="POST",route="/v1/predict",status="200"} 2.0',
        'encodeonce_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'encodeonce_requests_total{method="_OTHER",route="/v1/predict",status="405"} 1.0',
        'encodeonce_task_requests_total{status="200",task="intent"} 2.0',
        'encodeonce_task_requests_total{status="200",task="_embeddings"} 1.0',
        'encodeonce_model_requests_total{name="fake",status="200",version="1.2.3"} 3.0',
        'encodeonce_lookups_total{outcome="miss",task="intent"} 1.0',
        'encodeonce_lookups_total{outcome="hit",task="intent"} 1.0',
        'encodeonce_lookups_total{outcome="hit",task="_embeddings"} 1.0',
        'encodeonce_stage_seconds_count{stage="encode"} 3.0',
        "encodeonce_batch_tokens_sum 4.0",
        "encodeonce_queue_tokens 0.0",
        'encodeonce_cache_entries{store="pooled"} 1.0',
        'encodeonce_bundle_info{fingerprint="' + "f" * 64 + '",name="fake",precision="fp32",provider="cpu",',
    ):
        assert line in text
    assert "unbounded" not in text


async def test_docs_name_no_other_host_for_their_assets(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "https://" not in page
    assert "/static_content/swagger-ui-bundle.js" in page
