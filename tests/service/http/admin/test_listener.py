"""The admin API's own listener, on a real loopback port."""

import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from service.http.admin.listener import AdminListener, AdminListenError, open_socket
from service.http.app import create_admin_app
from service.lifecycle import Lifecycle
from tests.service.http.test_app import assert_problem
from tests.support.service_fakes import parts, running
from tests.support.service_process import free_port

KEY = "a key of 16 signs"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    lifecycle, port = Lifecycle(), free_port()
    async with running(parts(), admin_key=KEY) as runtime:
        lifecycle.get_ready(runtime)
        listener = AdminListener(create_admin_app(lifecycle), open_socket("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
        await listener.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "it listens after its end"


async def test_it_serves_the_admin_api_to_its_key_and_nothing_else(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        assert_problem(await client.get("/admin/v1/models"), 401)
        answer = await client.get("/admin/v1/models", headers={"authorization": f"Bearer {KEY}"})
        assert [each["name"] for each in answer.json()["models"]] == ["fake"]
        assert answer.headers["x-request-id"]
        for path in ("/v1/predict", "/metrics", "/", "/nope"):
            assert_problem(await client.get(path), 404)
        document = (await client.get("/openapi.json")).json()
    assert all(path.startswith("/admin/v1/") for path in document["paths"])


async def test_signals_stay_with_the_server_in_front(url: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/nope")).status_code == 404
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_taken_port_is_told_with_what_to_set() -> None:
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AdminListenError, match=f"127.0.0.1 port {port}: .*in use.*ENCODEONCE_ADMIN_PORT"):
            open_socket("127.0.0.1", port)


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(AdminListenError, match=r"192\.0\.2\.1 port 80"):
        open_socket("192.0.2.1", 80)
