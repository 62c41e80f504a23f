"""A real ``bentoml serve`` process with a tiny bundle, from the outside."""

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import psutil  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray

from service.assembly import launch
from service.settings import Provider, Settings
from tests.support.service_process import START_LIMIT_S, free_port, start_service, stop, wait_until_ready

pytestmark = pytest.mark.integration


@pytest.fixture
def url(tiny_service: str) -> str:
    return tiny_service


def assert_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert response.headers["x-request-id"] == response.json()["request_id"]


def test_every_task_answers_and_a_second_request_is_cached(url: str) -> None:
    body = {"inputs": ["where is my parcel", {"text": "the lamp is broken", "text_pair": "broken lamp"}]}
    first = httpx.post(f"{url}/v1/predict", json=body).json()
    second = httpx.post(f"{url}/v1/predict", json=body).json()
    assert set(first["predictions"][0]) == {"sentiment", "topic", "stars", "length"}
    assert len(first["predictions"][1]) == 6
    assert first["predictions"] == second["predictions"]
    assert first["usage"]["encoder_rows"] == 4
    assert second["usage"]["cache_hits"] == 4


CLIENT = """
import json, sys, bentoml
with bentoml.SyncHTTPClient(sys.argv[1]) as client:
    named = client.predict(inputs=["red shoe"], tasks=["sentiment"])
    every = client.predict(inputs=[{"text": "red shoe"}])
    short = client.predict(
        inputs=["red shoe"], tasks=["sentiment"], top_k=1, return_scores=False, return_logits=True
    )
    try:
        client.predict(inputs=["red shoe"], tasks=["ner"])
    except bentoml.exceptions.NotFound as error:
        refusal = str(error)
print(json.dumps([named, every, short, refusal]))
"""


def test_bentomls_client_speaks_to_the_native_method(url: str) -> None:
    # In a process of its own: the client uses deprecated parts of its libraries, and leaves a folder to the
    # collector.
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, url], capture_output=True, check=True, timeout=START_LIMIT_S
    )
    named, every, short, refusal = json.loads(done.stdout)
    assert list(named["predictions"][0]) == ["sentiment"]
    assert every["predictions"][0]["sentiment"] == named["predictions"][0]["sentiment"]
    assert set(short["predictions"][0]["sentiment"]) == {"label", "score", "logits"}
    assert "Unknown task 'ner'" in refusal


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/index.html", 404),
        ("GET", "/docs.json", 404),
        ("GET", "/static_content/nope", 404),
        ("GET", "/v1/predict", 405),
        ("POST", "/schema.json", 404),
        ("POST", "/v1/predict", 400),
    ],
)
def test_errors_are_problem_documents_on_every_path(url: str, method: str, path: str, status: int) -> None:
    content = "{" if method == "POST" else None
    headers = {"content-type": "application/json"}
    assert_problem(httpx.request(method, url + path, content=content, headers=headers), status)


def test_text_that_no_encoding_can_hold_is_a_client_error(url: str) -> None:
    for content in (b'{"inputs": ["\\ud800"]}', b'{"inputs": ["\xff"]}'):
        headers = {"content-type": "application/json"}
        assert_problem(httpx.post(f"{url}/v1/predict", content=content, headers=headers), 400)


def test_there_is_one_openapi_document_and_docs_with_their_assets(url: str) -> None:
    assert "/v1/predict" in httpx.get(f"{url}/openapi.json").json()["paths"]
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/static_content/{asset}" in httpx.get(f"{url}/docs").text
        assert httpx.get(f"{url}/static_content/{asset}").status_code == 200


def test_health_metrics_and_the_native_schema_answer(url: str) -> None:
    assert httpx.get(f"{url}/livez").json() == httpx.get(f"{url}/healthz").json() == {"status": "live"}
    assert httpx.get(f"{url}/schema.json").json()["routes"][0]["route"] == "/v1/predict"
    metrics = httpx.get(f"{url}/metrics").text
    for name in ("encodeonce_requests_total", "encodeonce_bundle_info", "process_resident_memory_bytes"):
        assert name in metrics


def test_a_balancer_may_ask_for_the_head_alone(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        for _ in range(2):  # over one connection, which a body would have confused
            response = client.head("/readyz")
            assert (response.status_code, response.content) == (200, b"")
            assert int(response.headers["content-length"]) > 0
        assert client.get("/readyz").json() == {"status": "ready"}


def test_promtool_finds_no_fault_in_the_metrics(url: str) -> None:
    httpx.post(f"{url}/v1/predict", json={"inputs": ["where is my parcel"]})
    exposition = httpx.get(f"{url}/metrics").content
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_embeddings_answer(url: str) -> None:
    answer = httpx.post(f"{url}/v1/embeddings", json={"input": "red shoe", "model": "tiny"}).json()
    assert len(answer["data"][0]["embedding"]) == 32


TEXTS = ["red shoe", "where is my order", "Ünï 🙂", "late " * 50]


@pytest.fixture(scope="module")
def vectors(tiny_bundle: Path) -> NDArray[np.float32]:
    """What the engine itself says of the texts."""

    async def embed() -> NDArray[np.float32]:
        runtime = await launch(Settings(bundle=tiny_bundle, provider=Provider.CPU, threads=1))
        try:
            return (await runtime.engine.embed(TEXTS, timeout_s=START_LIMIT_S)).vectors
        finally:
            await runtime.close()

    return asyncio.run(embed())


def test_the_openai_client_gets_the_engines_vectors_in_both_encodings(
    url: str, vectors: NDArray[np.float32]
) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        # Without an encoding the client asks for base64, and decodes it.
        floats, default = (
            client.embeddings.create(model="tiny@1", input=TEXTS, **encoding)
            for encoding in ({"encoding_format": "float"}, {})
        )
        packed = client.embeddings.create(model="tiny", input=TEXTS, encoding_format="base64")
    decoded = [np.frombuffer(base64.b64decode(str(each.embedding)), dtype="<f4") for each in packed.data]
    for found in (
        [each.embedding for each in floats.data],
        [each.embedding for each in default.data],
        decoded,
    ):
        np.testing.assert_allclose(np.array(found), vectors, atol=1e-6)
    assert [each.index for each in floats.data] == list(range(len(TEXTS)))
    assert [getattr(each, "truncated", False) for each in floats.data] == [False, False, False, True]
    assert floats.model == "tiny"
    assert floats.usage.prompt_tokens == floats.usage.total_tokens > 0


@pytest.mark.parametrize("given", [{"input": [1, 2]}, {"input": "a", "dimensions": 8}, {"input": [""]}])
def test_the_openai_client_is_told_what_is_not_supported(url: str, given: Any) -> None:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client,
        pytest.raises(openai.UnprocessableEntityError) as refusal,
    ):
        client.embeddings.create(model="tiny", **given)
    assert refusal.value.response.headers["content-type"] == "application/problem+json"


def test_the_openai_client_is_told_that_a_model_is_not_served(url: str) -> None:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client,
        pytest.raises(openai.NotFoundError, match=r"Unknown model 'text-embedding-3-small'. Loaded: tiny\."),
    ):
        client.embeddings.create(model="text-embedding-3-small", input="a")


def test_a_bad_bundle_ends_the_command_with_the_reason(tmp_path: Path) -> None:
    process = start_service(free_port(), tmp_path / "log", ENCODEONCE_BUNDLE=str(tmp_path / "none"))
    try:
        assert process.wait(START_LIMIT_S) != 0
    finally:
        stop(process)
    log = (tmp_path / "log").read_text()
    assert "There is no bundle at" in log
    assert "Traceback" not in log


def test_terminating_ends_the_process_and_its_workers(tiny_bundle: Path, tmp_path: Path) -> None:
    port = free_port()
    process = start_service(port, tmp_path / "log", ENCODEONCE_BUNDLE=str(tiny_bundle))
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}", tmp_path / "log")
        workers = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(30)
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
    finally:
        stop(process)
    assert "Traceback" not in (tmp_path / "log").read_text()
