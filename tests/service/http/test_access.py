"""API keys and CORS over ASGI, on every protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.engine import EMBEDDINGS
from service.http.access import HEALTH
from service.http.app import create_app
from service.keys.file import KeyEntry, KeyFile, hash_key, new_key
from service.lifecycle import Lifecycle
from service.models.routing import Route, Share
from tests.service.http.test_app import assert_problem, serving
from tests.support.service_fakes import PATIENCE_S, FakeEncoderSession, parts, running

FULL, INTENT, VECTORS, SLOW = (new_key() for _ in range(4))
INPUTS = {"inputs": ["red shoe"]}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["red shoe"]}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    KeyFile(
        keys=(
            KeyEntry(name="full", sha256=hash_key(FULL)),
            KeyEntry(name="intent", sha256=hash_key(INTENT), tasks=frozenset({"intent"})),
            KeyEntry(name="vectors", sha256=hash_key(VECTORS), tasks=frozenset({EMBEDDINGS})),
            KeyEntry(name="slow", sha256=hash_key(SLOW), inputs_per_s=0.001, burst=3),
        )
    ).write(file)
    return file


@pytest.fixture
async def client(keys_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(api_keys_file=keys_file) as (client, _):
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_every_route_but_health_descriptions_and_metrics_takes_a_key(client: httpx.AsyncClient) -> None:
    document = create_app(Lifecycle(), with_admin=True).openapi()
    closed = 0
    for route, methods in document["paths"].items():
        path = route.format(task="intent", model="intent", version="1.2.3", name="a")
        for method, operation in methods.items():
            response = await client.request(method.upper(), path)
            if route in HEALTH or route == "/metrics":
                assert response.status_code == 200, route
            elif route.startswith("/admin"):
                assert response.status_code == 404, route  # on a port of its own
            else:
                problem = assert_problem(response, 401)
                assert response.headers["www-authenticate"] == "Bearer"
                assert "401" in operation["responses"], route
                assert problem.detail.startswith("Expected an API key")
                closed += 1
    assert closed > 15
    for path in ("/docs", "/openapi.json", "/", "/status"):
        assert (await client.get(path)).status_code == 200
    for path in ("/nope", "/v1", "/Livez", "/livez/", "/metrics/x"):
        assert_problem(await client.get(path), 401)


@pytest.mark.parametrize(
    "headers",
    [
        bearer(FULL),
        {"authorization": f"bearer  {FULL} "},
        {"x-api-key": FULL},
        {"authorization": "Basic abc", "x-api-key": FULL},
    ],
)
async def test_a_key_opens_in_either_header(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post("/v1/predict", json=INPUTS, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer"},
        {"authorization": FULL},
        bearer(FULL[:-1]),
        {"x-api-key": "x"},
        {"x-api-key": b"\xff"},
        {"authorization": "Bearer x", "x-api-key": FULL},
    ],
)
async def test_a_wrong_key_is_401(client: httpx.AsyncClient, headers: Any) -> None:
    response = await client.post("/v1/predict", json=INPUTS, headers=headers)
    assert_problem(response, 401)
    assert FULL not in response.text


async def test_a_key_for_some_tasks_opens_no_other_by_any_protocol(client: httpx.AsyncClient) -> None:
    client.headers.update(bearer(INTENT))
    found = (await client.post("/v1/predict", json=INPUTS)).json()["predictions"]
    assert [set(each) for each in found] == [{"intent"}]
    assert (await client.post("/v1/tasks/intent/predict", json=INPUTS)).status_code == 200
    assert (await client.post("/tei/intent/predict", json={"inputs": "a"})).status_code == 200
    assert (await client.post("/v2/models/intent/infer", json={"inputs": [TENSOR]})).status_code == 200
    ndjson = {"content-type": "application/x-ndjson"}
    lines = (await client.post("/v1/predict", content=b'"a"\n', headers=ndjson)).text.splitlines()
    assert set(json.loads(lines[0])["prediction"]) == {"intent"}
    for path, body in (
        ("/v1/predict", INPUTS | {"tasks": ["intent", "urgency"]}),
        ("/v1/tasks/urgency/predict", INPUTS),
        ("/v1/embeddings", {"input": "a"}),
        ("/tei/urgency/predict", {"inputs": "a"}),
        ("/tei/embed", {"inputs": "a"}),
        ("/tei/embed_all", {"inputs": "a"}),
        ("/v2/models/urgency/infer", {"inputs": [TENSOR]}),
        ("/v2/models/fake/infer", {"inputs": [TENSOR], "outputs": [{"name": "urgency"}]}),
        ("/v2/models/_embeddings/infer", {"inputs": [TENSOR]}),
    ):
        problem = assert_problem(await client.post(path, json=body), 403)
        assert "It opens: intent." in problem.detail, path
    refused = await client.post("/v1/tasks/urgency/predict", content=b'"a"\n', headers=ndjson)
    assert_problem(refused, 403)


async def test_a_request_that_names_no_task_gets_those_its_key_opens_by_any_protocol(
    client: httpx.AsyncClient,
) -> None:
    client.headers.update(bearer(INTENT))
    inferred = await client.post("/v2/models/fake/infer", json={"inputs": [TENSOR]})
    assert [each["name"] for each in inferred.json()["outputs"]] == ["intent"]
    predicted = await client.post("/tei/predict", json={"inputs": "red shoe"})
    assert predicted.json() == (await client.post("/tei/intent/predict", json={"inputs": "red shoe"})).json()
    unfit = [TENSOR, TENSOR | {"name": "text_pair"}]
    problem = assert_problem(await client.post("/v2/models/fake/infer", json={"inputs": unfit}), 422)
    assert "urgency" not in problem.model_dump_json()
    for inputs in (["a", "b"], [["a", "b"]]):
        problem = assert_problem(await client.post("/tei/predict", json={"inputs": inputs}), 422)
        assert "intent takes text." in problem.errors[0].message
    client.headers.update(bearer(VECTORS))
    for path, body in (
        ("/v1/predict", INPUTS),
        ("/v2/models/fake/infer", {"inputs": [TENSOR]}),
        ("/tei/predict", {"inputs": "a"}),
        ("/tei/rerank", {"query": "a", "texts": ["b"]}),
    ):
        problem = assert_problem(await client.post(path, json=body), 403)
        assert problem.detail == "The key 'vectors' opens none of the tasks."


async def test_a_key_that_has_used_up_its_rate_is_429_with_retry_after(client: httpx.AsyncClient) -> None:
    client.headers.update(bearer(SLOW))
    assert (await client.post("/v1/predict", json={"inputs": ["a", "b"]})).status_code == 200
    response = await client.post("/v1/embeddings", json={"input": ["a", "b"]})
    problem = assert_problem(response, 429)
    assert problem.type == "urn:encodeonce:error:rate-limited"
    assert int(response.headers["retry-after"]) >= 900
    assert (await client.post("/v1/embeddings", json={"input": "a"})).status_code == 200
    headers = {"content-type": "application/x-ndjson", "x-request-timeout-ms": "50"}
    lines = (await client.post("/v1/predict", content=b'"a"\n"b"\n', headers=headers)).text.splitlines()
    assert [json.loads(line)["problem"]["status"] for line in lines[:-1]] == [429, 429]


async def test_what_is_refused_costs_a_key_nothing(keys_file: Path) -> None:
    encoder = FakeEncoderSession()
    limits = {"queue_tokens": 16, "max_batch_tokens": 8}
    async with serving(encoder, api_keys_file=keys_file, **limits) as (client, _):
        encoder.gate.clear()
        held = [
            asyncio.create_task(
                client.post("/v1/predict", json={"inputs": [f"a b c d {n}"]}, headers=bearer(FULL))
            )
            for n in range(2)
        ]
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        client.headers.update(bearer(SLOW))
        wide = "a b c d e f g h"
        for path, body, headers, status in (
            ("/v1/predict", {"inputs": ["a"], "tasks": ["nope"]}, {}, 404),
            ("/v1/predict", {"inputs": ["a"]}, {"x-priority": "high"}, 422),
            ("/v1/embeddings", {"input": "a"}, {"x-priority": "high"}, 422),
            ("/v1/predict", {"inputs": [wide]}, {}, 429),
            ("/v1/embeddings", {"input": wide}, {}, 429),
        ):
            for _ in range(3):
                problem = assert_problem(await client.post(path, json=body, headers=headers), status)
                assert problem.type != "urn:encodeonce:error:rate-limited"
        headers = {"content-type": "application/x-ndjson", "x-request-timeout-ms": "500"}
        stream = await client.post("/v1/predict", content=json.dumps(wide), headers=headers)
        line, _summary = stream.text.splitlines()
        assert json.loads(line)["problem"]["type"] == "urn:encodeonce:error:overloaded"
        encoder.gate.set()
        assert [each.status_code for each in await asyncio.gather(*held)] == [200, 200]
        assert (await client.post("/v1/predict", json={"inputs": ["a", "b", "c"]})).status_code == 200
        assert_problem(await client.post("/v1/predict", json={"inputs": ["a"]}), 429)


async def test_the_cache_is_everybodys_unless_keys_are_kept_apart(keys_file: Path) -> None:
    ndjson = {"content-type": "application/x-ndjson"}
    for is_apart in (False, True):
        async with serving(api_keys_file=keys_file, cache_per_key=is_apart) as (client, runtime):
            await client.post("/v1/predict", json=INPUTS, headers=bearer(FULL))
            again = await client.post("/v1/predict", json=INPUTS, headers=bearer(FULL))
            assert again.json()["usage"]["cache_hits"] == 1
            other = await client.post("/v1/predict", json=INPUTS, headers=bearer(INTENT))
            assert other.json()["usage"]["cache_hits"] == (0 if is_apart else 1)
            await client.post("/v1/embeddings", json={"input": "red shoe"}, headers=bearer(SLOW))
            await client.post("/v1/predict", content=b'"red shoe"', headers=bearer(SLOW) | ndjson)
            assert len(runtime.cache.pooled) == (3 if is_apart else 1)


async def test_metrics_can_be_closed_too(keys_file: Path) -> None:
    async with serving(api_keys_file=keys_file, metrics_need_key=True) as (client, _):
        assert_problem(await client.get("/metrics"), 401)
        assert (await client.get("/metrics", headers=bearer(FULL))).status_code == 200


async def test_without_a_file_anybody_may_ask() -> None:
    async with serving() as (client, _):
        assert (await client.post("/v1/predict", json=INPUTS)).status_code == 200


PREFLIGHT = {
    "origin": "https://shop.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


async def test_no_other_origin_is_let_in_by_default() -> None:
    async with serving() as (client, _):
        response = await client.options("/v1/predict", headers=PREFLIGHT)
        assert_problem(response, 405)
        answer = await client.post("/v1/predict", json=INPUTS, headers={"origin": "https://shop.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_origins_of_the_settings_are_let_in_and_bring_their_key(keys_file: Path) -> None:
    origins = "https://shop.example, https://desk.example"
    async with serving(api_keys_file=keys_file, cors_origins=origins) as (client, _):
        preflight = await client.options("/v1/predict", headers=PREFLIGHT)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        other = await client.options("/v1/predict", headers=PREFLIGHT | {"origin": "https://evil.example"})
        assert other.status_code == 400
        refused = await client.post("/v1/predict", json=INPUTS, headers={"origin": "https://desk.example"})
        assert_problem(refused, 401)
        assert refused.headers["access-control-allow-origin"] == "https://desk.example"
        headers = bearer(FULL) | {"origin": "https://shop.example"}
        answer = await client.post("/v1/predict", json=INPUTS, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_shadow_reads_what_was_cached_under_the_key_that_asked(keys_file: Path) -> None:
    encoder = FakeEncoderSession()
    given = {"api_keys_file": keys_file, "cache_per_key": True}
    async with running(parts(encoder=encoder), parts(version="2"), **given) as runtime:
        lifecycle = Lifecycle()
        lifecycle.get_ready(runtime)
        await runtime.models.load(Path("fake") / "2")
        runtime.models.set_route("fake", Route(default="1.2.3", shadow=Share(version="2", percent=100)))
        transport = httpx.ASGITransport(create_app(lifecycle))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for key in (FULL, INTENT):
                await client.post("/v1/predict", json={**INPUTS, "tasks": ["intent"]}, headers=bearer(key))
                await asyncio.gather(*runtime.shadows._under_way)
        (drift,) = runtime.shadows.drift("fake").values()
    assert drift.requests == 2
    assert encoder.rows_encoded == 2, "once for each key"
