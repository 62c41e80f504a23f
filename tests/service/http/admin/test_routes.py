"""The admin API over ASGI, on the service's own port: the registry is real, its sessions are fakes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from export.manifest import GoldenExample
from service.assembly import Runtime
from service.http.app import create_app
from service.lifecycle import Lifecycle
from tests.support.service_fakes import PATIENCE_S, FakeEncoderSession, parts, running

KEY = "a key of 16 signs"
OTHER = "e" * 64
WRONG = GoldenExample(task="sentiment", input={"text": "a"}, logits=((1e6,),))
ROUTES = [
    ("GET", "/models"),
    ("POST", "/models"),
    ("DELETE", "/models/fake/2"),
    ("PATCH", "/routes/fake"),
    ("POST", "/routes/fake/rollback"),
    ("GET", "/routes/fake/drift"),
    ("GET", "/status"),
    ("POST", "/drain"),
]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A client of the service, with the operator's key."""

    client: httpx.AsyncClient
    runtime: Runtime
    encoder: FakeEncoderSession
    shadow_encoder: FakeEncoderSession
    """Of version 3."""

    async def settle_shadows(self) -> None:
        await asyncio.gather(*self.runtime.shadows._under_way)

    async def admin(
        self, method: str, path: str, body: Any = None, *, status: int = 200, key: str = KEY
    ) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        response = await self.client.request(method, f"/admin/v1{path}", json=body, headers=headers)
        assert response.status_code == status, response.text
        return response.json()

    async def load(self, version: str, *, status: int = 200, **given: Any) -> Any:
        return await self.admin("POST", "/models", {"path": f"fake/{version}", **given}, status=status)

    async def answered_by(self, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.client.post("/v1/predict", json={"inputs": ["a b"]}, headers=named)
        assert response.status_code == 200, response.text
        version: str = response.json()["version"]
        return version


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    encoder, other, lifecycle = FakeEncoderSession(), FakeEncoderSession(), Lifecycle()
    loaded = [
        parts(encoder=encoder),
        parts(version="2"),
        parts(version="3", fingerprint=OTHER, encoder=other),
        parts(version="bad", golden=[WRONG]),
    ]
    transport = httpx.ASGITransport(create_app(lifecycle, with_admin=True))
    async with (
        running(*loaded, admin_key=KEY, max_models=3) as runtime,
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        lifecycle.get_ready(runtime)
        yield Served(client=client, runtime=runtime, encoder=encoder, shadow_encoder=other)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_key_nothing_is_told_or_done(served: Served, method: str, path: str) -> None:
    for key in ("", "another key entirely", KEY[:-1], KEY + "s", "ключ"):
        response = await served.client.request(
            method, f"/admin/v1{path}", headers={"authorization": f"Bearer {key}".encode()}
        )
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"


async def test_without_a_key_in_the_settings_it_is_off() -> None:
    lifecycle = Lifecycle()
    transport = httpx.ASGITransport(create_app(lifecycle, with_admin=True))
    async with (
        running(parts()) as runtime,
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        lifecycle.get_ready(runtime)
        response = await client.get("/admin/v1/models", headers={"authorization": "Bearer "})
    assert response.status_code == 403
    assert "ENCODEONCE_ADMIN_KEY" in response.json()["detail"]


async def test_a_loaded_version_answers_who_pins_it_and_nobody_else(served: Served) -> None:
    assert (await served.load("2"))["version"] == "2"
    assert await served.answered_by() == "1.2.3"
    assert await served.answered_by(x_model_version="2") == "2"


async def test_a_swap_holds_from_the_next_request_on_and_a_rollback_takes_it_back(served: Served) -> None:
    await served.load("2")
    route = await served.admin("PATCH", "/routes/fake", {"default": "2"})
    assert (route["default"], route["previous"]) == ("2", "1.2.3")
    assert await served.answered_by() == "2"
    await served.admin("POST", "/routes/fake/rollback")
    assert await served.answered_by() == "1.2.3"


async def test_load_and_swap_are_one_call(served: Served) -> None:
    await served.load("3", swap=True)
    assert await served.answered_by() == "3"


async def test_a_canary_gets_its_share_by_header_or_by_id(served: Served) -> None:
    await served.load("3")
    await served.admin("PATCH", "/routes/fake", {"canary": {"version": "3", "percent": 50}})
    assert await served.answered_by(x_canary="always") == "3"
    assert await served.answered_by(x_canary="never") == "1.2.3"
    ids = [str(number) for number in range(30)]
    first = [await served.answered_by(x_request_id=each) for each in ids]
    assert set(first) == {"1.2.3", "3"}
    assert [await served.answered_by(x_request_id=each) for each in ids] == first
    await served.admin("PATCH", "/routes/fake", {"canary": None})
    assert {await served.answered_by(x_request_id=each) for each in ids} == {"1.2.3"}


async def test_a_canary_header_that_says_neither_is_422(served: Served) -> None:
    response = await served.client.post(
        "/v1/predict", json={"inputs": ["a"]}, headers={"x-canary": "perhaps"}
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "x-canary"


async def test_a_pinned_version_that_is_not_loaded_is_404_and_names_those_that_are(served: Served) -> None:
    for headers in ({"x-model-version": "9"}, {"x-model-name": "other"}):
        response = await served.client.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
        assert response.status_code == 404
        assert "Loaded: " in response.json()["detail"]


async def test_an_unloaded_version_finishes_what_it_answers(served: Served) -> None:
    await served.load("2", swap=True)
    served.encoder.gate.clear()
    served.encoder.entered.clear()
    held = asyncio.create_task(served.answered_by(x_model_version="1.2.3"))
    await asyncio.to_thread(served.encoder.entered.wait, PATIENCE_S)
    assert (await served.admin("DELETE", "/models/fake/1.2.3"))["requests"] == 1
    response = await served.client.post(
        "/v1/predict", json={"inputs": ["a"]}, headers={"x-model-version": "1.2.3"}
    )
    assert response.status_code == 404
    served.encoder.gate.set()
    assert await held == "1.2.3"
    assert await served.answered_by() == "2", "on the encoder that both of them read from"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", "/models", {"path": "fake/1.2.3"}, 409, "loaded already"),
        ("POST", "/models", {"path": "fake/bad"}, 422, "does not answer as its model did"),
        ("POST", "/models", {"pth": "x"}, 422, "2 faults"),
        ("DELETE", "/models/fake/1.2.3", None, 409, "is the default version"),
        ("DELETE", "/models/fake/9", None, 404, "has no version"),
        ("PATCH", "/routes/fake", {"default": "9"}, 404, "has no version"),
        ("PATCH", "/routes/other", {"default": "9"}, 404, "Unknown model"),
        ("PATCH", "/routes/fake", {"canary": {"version": "1.2.3", "percent": 101}}, 422, "1 fault"),
        ("POST", "/routes/fake/rollback", None, 409, "no previous version"),
    ],
)
async def test_what_cannot_be_done_changes_nothing_and_says_why(
    served: Served, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    before = await served.admin("GET", "/models")
    assert detail in (await served.admin(method, path, body, status=status))["detail"]
    assert await served.admin("GET", "/models") == before


async def test_more_models_than_the_settings_allow_are_refused(served: Served) -> None:
    await served.load("2")
    await served.load("3")
    assert "3 models are the most" in (await served.load("bad", status=409))["detail"]
    await served.admin("DELETE", "/models/fake/2")
    await served.load("2")


async def test_the_models_are_listed_for_operators_and_for_openais_clients(served: Served) -> None:
    await served.load("2")
    told = await served.admin("GET", "/models")
    assert [(each["name"], each["version"], each["path"]) for each in told["models"]] == [
        ("fake", "1.2.3", str(Path("fake/1.2.3"))),
        ("fake", "2", str(Path("fake/2"))),
    ]
    assert told["routes"][0]["answers_by_default"] is True
    public = (await served.client.get("/v1/models")).json()
    assert public["object"] == "list"
    assert [(each["id"], each["is_default"]) for each in public["data"]] == [
        ("fake@1.2.3", True),
        ("fake@2", False),
    ]


async def test_a_shadow_answers_nobody_and_its_drift_is_reported(served: Served) -> None:
    await served.load("3")
    await served.admin("PATCH", "/routes/fake", {"shadow": {"version": "3", "percent": 100}})
    for number in range(5):
        body = {"inputs": [f"text {number}", {"text": "a", "text_pair": "b"}]}
        answer = (await served.client.post("/v1/predict", json=body)).json()
        assert answer["version"] == "1.2.3"
        await served.settle_shadows()
    (drift,) = (await served.admin("GET", "/routes/fake/drift"))["drifts"]
    assert (drift["served"], drift["shadow"]) == ("1.2.3", "3")
    assert (drift["requests"], drift["failed"], drift["skipped"]) == (5, 0, 0)
    assert drift["tasks"]["intent"]["compared"] == 5
    assert 0 <= drift["tasks"]["intent"]["agreement"] <= 1
    assert drift["tasks"]["similar"]["agreement"] is None
    assert drift["tasks"]["similar"]["max_distance"] > 0


async def test_a_shadow_that_is_set_again_is_reported_from_its_beginning(served: Served) -> None:
    await served.load("3")
    for share in ({"version": "3", "percent": 100}, None, {"version": "3", "percent": 100}):
        await served.admin("PATCH", "/routes/fake", {"shadow": share})
        for number in range(2):
            await served.client.post("/v1/predict", json={"inputs": [f"text {number}"]})
            await served.settle_shadows()
        (drift,) = (await served.admin("GET", "/routes/fake/drift"))["drifts"]
        assert drift["requests"] == 2


async def test_a_copy_with_few_scores_tells_of_decisions_alone(served: Served) -> None:
    await served.load("3")
    await served.admin("PATCH", "/routes/fake", {"shadow": {"version": "3", "percent": 100}})
    for options in ({"top_k": 1}, {"return_scores": False}):
        await served.client.post("/v1/predict", json={"inputs": ["text"], "tasks": ["intent"], **options})
        await served.settle_shadows()
    (drift,) = (await served.admin("GET", "/routes/fake/drift"))["drifts"]
    intent = drift["tasks"]["intent"]
    assert (intent["compared"], intent["mean_distance"]) == (2, None)
    assert intent["agreement"] is not None


async def test_a_shadow_that_fails_costs_nobody_an_answer(served: Served) -> None:
    await served.load("3")
    await served.admin("PATCH", "/routes/fake", {"shadow": {"version": "3", "percent": 100}})
    served.shadow_encoder.is_lost = True
    assert await served.answered_by() == "1.2.3"
    await served.settle_shadows()
    (drift,) = (await served.admin("GET", "/routes/fake/drift"))["drifts"]
    assert (drift["requests"], drift["failed"]) == (0, 1)


async def test_a_drain_turns_readiness_off_and_answers_on(served: Served) -> None:
    assert await served.admin("GET", "/status") == {"phase": "ready", "requests": 0}
    assert await served.admin("POST", "/drain") == {"phase": "draining", "requests": 0}
    assert (await served.client.get("/readyz")).status_code == 503
    assert await served.answered_by() == "1.2.3"
