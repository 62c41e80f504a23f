"""No log line holds a text, whatever is asked and however it ends: a real process, as verbose as it gets."""

import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service_process import ROOT, free_port, start_service, stop, wait_until_ready

pytestmark = pytest.mark.integration

MARKER = "quetzalcoatl"
TEXT = f"my {MARKER} is late"
VERBOSE = {
    "BENTOML_DEBUG": "true",
    "ENCODEONCE_ACCESS_LOG": "true",
    "ENCODEONCE_LOG_FORMAT": "json",
    "ENCODEONCE_MAX_TEXT_CHARS": "500",
    "ENCODEONCE_MAX_INPUTS": "8",
}
JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}

ANSWERED: list[tuple[str, Any]] = [
    ("/v1/predict", {"inputs": [TEXT, {"text": TEXT, "text_pair": TEXT}]}),
    ("/v1/tasks/sentiment/predict", {"inputs": [TEXT]}),
    ("/v1/embeddings", {"input": TEXT}),
    ("/v2/models/sentiment/infer", {"inputs": [TENSOR]}),
    ("/v2/models/_embeddings/infer", {"inputs": [TENSOR]}),
    ("/tei/sentiment/predict", {"inputs": TEXT}),
    ("/tei/embed", {"inputs": [TEXT]}),
]
REFUSED: list[tuple[int, str, Any]] = [
    (404, f"/{MARKER}", {}),
    (404, f"/v1/tasks/{MARKER}/predict", {"inputs": [TEXT]}),
    (404, f"/v2/models/{MARKER}/infer", {"inputs": [TENSOR]}),
    (404, "/v1/predict", {"inputs": [TEXT], "tasks": [MARKER]}),
    (422, "/v1/predict", {"inputs": [{MARKER: TEXT}]}),
    (422, "/v1/predict", {"inputs": [TEXT], MARKER: 1}),
    (422, "/v1/predict", {"inputs": [TEXT], "top_k": MARKER}),
    (422, "/v1/predict", {"inputs": [TEXT * 100]}),
    (422, "/v1/predict", f'{{"{MARKER}": 1, "{MARKER}": NaN}}'),
    (413, "/v1/predict", {"inputs": [TEXT] * 9}),
    (422, "/v1/embeddings", {"input": {"text": TEXT}}),
    (422, "/tei/embed", {"inputs": [{"text": TEXT}]}),
    (422, "/tei/sentiment/predict", {"inputs": [[TEXT, TEXT]], "raw_scores": MARKER}),
    (422, "/v2/models/sentiment/infer", {"inputs": [TENSOR | {"shape": [7]}]}),
    (422, "/v2/models/sentiment/infer", {"inputs": [TENSOR | {"name": MARKER}]}),
]
MALFORMED = [
    f'{{"inputs": ["{TEXT}"',
    f'{{"inputs": ["{TEXT}\\ud800"]}}',
    MARKER,
    f'["{TEXT}"] {MARKER}',
]
NOT_HTTP = [
    f"GET /{MARKER} HTTP/9.9\r\n\r\n",
    f"{MARKER}\r\n\r\n",
    f"POST /v1/predict HTTP/1.1\r\n{MARKER} {MARKER}\r\n\r\n{TEXT}",
    f"POST /v1/predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{MARKER}\r\n{TEXT}",
    f"POST /v1/predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    f'content-length: 999\r\n\r\n{{"inputs": ["{TEXT}',
]


@dataclass(frozen=True, kw_only=True)
class Verbose:
    """A service whose every word is kept."""

    client: httpx.Client
    port: int
    folder: Path
    """Where it may write anything: its log, its home, its temporary files."""
    broken: Path
    """While it exists, the encoder fails."""

    def post(self, path: str, body: Any, *, status: int = 200, headers: dict[str, str] = JSON) -> None:
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        response = self.client.post(path, content=content, headers=headers)
        assert response.status_code == status, (path, response.text)

    def send(self, content: str) -> None:
        """Bytes on a connection of their own, which ends when they are sent."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(content.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


@pytest.fixture(scope="module")
def verbose(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbose]:
    folder, port = tmp_path_factory.mktemp("verbose"), free_port()
    folder_of = {name: folder / name for name in ("BENTOML_HOME", "TMPDIR")}
    for each in folder_of.values():
        each.mkdir()
    hold = folder / "hold"
    process = start_service(
        port,
        folder / "log",
        target="tests.support.held_service:EncodeOnce",
        ENCODEONCE_BUNDLE=str(tiny_bundle),
        ENCODEONCE_THREADS="1",
        TEST_HOLD_FILE=str(hold),
        PYTHONPATH=str(ROOT),
        **{name: str(path) for name, path in folder_of.items()},
        **VERBOSE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, url, folder / "log")
        with httpx.Client(base_url=url, timeout=120) as client:
            yield Verbose(client=client, port=port, folder=folder, broken=hold.with_suffix(".broken"))
    finally:
        stop(process)


def test_no_log_line_holds_a_text(verbose: Verbose) -> None:
    for path, body in ANSWERED:
        verbose.post(path, body)
    length = struct.pack("<I", len(TEXT))
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES"}
    header = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": 4 + len(TEXT)}}]}).encode()
    framing = {"inference-header-content-length": str(len(header))}
    verbose.post("/v2/models/sentiment/infer", header + length + TEXT.encode(), headers=framing)
    verbose.post("/v1/predict", f'"{TEXT}"\n{{"{MARKER}": \n{{"text": ""}}\n', headers=NDJSON)
    for status, path, body in REFUSED:
        verbose.post(path, body, status=status)
    for malformed in MALFORMED:
        verbose.post("/v1/predict", malformed, status=400)
    verbose.post("/v1/predict", TEXT, status=415, headers={"content-type": MARKER})
    named = JSON | {"x-request-id": TEXT, "x-model-name": MARKER}
    verbose.post("/v1/predict", {"inputs": [TEXT]}, status=404, headers=named)
    for content in NOT_HTTP:
        verbose.send(content)
    hurried = JSON | {"x-request-timeout-ms": "0.001"}
    verbose.post("/v1/predict", {"inputs": [f"{TEXT} again"]}, status=504, headers=hurried)
    verbose.broken.touch()
    verbose.post("/v1/predict", {"inputs": [f"{TEXT} and broken"]}, status=500)
    verbose.post("/v1/predict", {"inputs": [f"{TEXT} {n}" for n in range(3)]}, status=500)

    lines = (verbose.folder / "log").read_text(encoding="utf-8").splitlines()
    asked = len(ANSWERED) + len(REFUSED) + len(MALFORMED)
    assert sum("encodeonce.access" in line for line in lines) > asked, "as verbose as it gets"
    assert any("Traceback" in line for line in lines), "failures are told"
    found = [
        f"{file.name}: {line}"
        for file in verbose.folder.rglob("*")
        if file.is_file()
        for line in file.read_bytes().decode(errors="replace").splitlines()
        if MARKER in line.casefold()
    ]
    assert found == []
