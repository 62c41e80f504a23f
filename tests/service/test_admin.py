"""The command line of the admin API, against servers that refuse, hang up or are something else."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from service.admin import default_url, main
from service.settings import Settings


class _Refusing(BaseHTTPRequestHandler):
    """Refuses each change with a problem document that tells what was asked; is a web page otherwise."""

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        detail = f"{self.path} {body} {self.headers['authorization']}"
        problem = {"detail": detail, "errors": [{"field": "canary", "message": "no."}]}
        self.send_response(409)
        self.end_headers()
        self.wfile.write(json.dumps(problem).encode())

    def do_GET(self) -> None:
        redirects = self.path.endswith("/status")
        self.send_response(302 if redirects else 200)
        if redirects:
            self.send_header("location", "/admin/v1/models")
        self.end_headers()
        self.wfile.write(b"<html>Welcome")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ENCODEONCE_ADMIN_KEY", "the key")
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["swap", "a b", "2"], '/admin/v1/routes/a%20b {"default": "2"} Bearer the key'),
        (["canary", "m", "2", "5"], '/admin/v1/routes/m {"canary": {"version": "2", "percent": 5.0}} Bearer'),
        (["shadow", "m", "--off"], '/admin/v1/routes/m {"shadow": null} Bearer'),
    ],
)
def test_a_refusal_ends_the_command_with_its_reason(
    url: str, command: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", url, *command]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"409: {told}")
    assert "canary: no." in error


def test_a_service_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1", "status"]) == 1
    assert capsys.readouterr().err.startswith("http://127.0.0.1:1 does not answer: ")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("localhost:3900", "localhost:3900 does not answer: unknown url type: localhost"),
        ("nowhere", "nowhere does not answer: unknown url type: 'nowhere/admin/v1/status'"),
        ("http://127.0.0.1:many", "http://127.0.0.1:many does not answer: nonnumeric port: 'many'"),
    ],
)
def test_what_is_no_address_is_told(given: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", given, "status"]) == 1
    assert capsys.readouterr().err == f"{told}\n"


def test_a_proxy_of_the_environment_does_not_get_the_key(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["--url", url, "swap", "m", "2"]) == 1
    assert capsys.readouterr().err.startswith("409: /admin/v1/routes/m")


def test_no_redirect_gets_the_key(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", url, "status"]) == 1
    assert capsys.readouterr().err.startswith("302: ")


def test_a_service_that_hangs_up_ends_the_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        assert main(["--url", url, "status"]) == 1
        thread.join()
    error = capsys.readouterr().err
    assert error.startswith(f"{url} does not answer: ")
    assert error.count("\n") == 1


def test_an_answer_that_is_no_json_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", url, "models"]) == 1
    assert capsys.readouterr().err == f"{url} is no admin API; it answers '<html>Welcome'\n"


def test_a_key_that_no_header_can_carry_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENCODEONCE_ADMIN_KEY", "secret\n")
    assert main(["status"]) == 1
    error = capsys.readouterr().err
    assert "ENCODEONCE_ADMIN_KEY" in error
    assert "secret" not in error


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"ADMIN_PORT": "main"}, "http://127.0.0.1:3000"),
        ({"ADMIN_HOST": "0.0.0.0", "ADMIN_PORT": "9"}, "http://127.0.0.1:9"),
        ({"ADMIN_HOST": "10.0.0.7", "ADMIN_PORT": "9"}, "http://10.0.0.7:9"),
        ({"ADMIN_HOST": "::1", "ADMIN_PORT": "9"}, "http://[::1]:9"),
        ({"ADMIN_URL": "https://desk.example", "ADMIN_PORT": "9"}, "https://desk.example"),
    ],
)
def test_the_address_is_that_of_a_service_with_the_same_environment(
    environment: dict[str, str], url: str
) -> None:
    assert default_url({f"ENCODEONCE_{name}": value for name, value in environment.items()}) == url


def test_without_settings_the_address_is_the_services_default() -> None:
    host, port = Settings(admin_key="a key of 16 signs").admin_address or ("", 0)
    assert default_url({}) == f"http://{host}:{port}"
