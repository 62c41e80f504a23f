"""Which requests reach BentoML's application."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from service.gateway import NATIVE_PATHS, Gateway
from service.lifecycle import Lifecycle


async def bentoml_like(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("BentoML's")(scope, receive, send)


async def ask(method: str, path: str) -> httpx.Response:
    gateway = Gateway(bentoml_like, lifecycle=Lifecycle())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("path", sorted(NATIVE_PATHS))
async def test_native_paths_are_passed_on(path: str) -> None:
    answer = await ask("GET", path)
    assert answer.text == "BentoML's"
    assert answer.headers["x-request-id"]
    assert "total;dur=" in answer.headers["server-timing"]
    assert (await ask("HEAD", path)).status_code == 200


@pytest.mark.parametrize("path", [*sorted(NATIVE_PATHS), "/v1/predict"])
async def test_a_websocket_is_closed(path: str) -> None:
    gateway = Gateway(bentoml_like, lifecycle=Lifecycle())
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b"", "subprotocols": []}
    await gateway(scope, receive, send)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/schema.json"),
        ("GET", "/static_content/other"),
        ("GET", "/docs.json"),
        ("GET", "/index.html"),
        ("GET", "/livez"),
    ],
)
async def test_everything_else_is_ours(method: str, path: str) -> None:
    response = await ask(method, path)
    assert response.text != "BentoML's"
    assert response.headers["content-type"] in ("application/problem+json", "application/json")


async def test_the_lifespan_puts_the_gateway_in_front_of_bentomls_own_middleware() -> None:
    async def native(_: Request) -> PlainTextResponse:
        return PlainTextResponse("native")

    bentoml = Starlette()
    bentoml.add_route("/v1/predict", native, methods=["POST"])
    bentoml.add_middleware(Gateway, lifecycle=Lifecycle())
    async with bentoml.router.lifespan_context(bentoml):
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent: list[Any] = []

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await bentoml({"type": "lifespan", "app": bentoml, "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert isinstance(bentoml.middleware_stack, Gateway)
