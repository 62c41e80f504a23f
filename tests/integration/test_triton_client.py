"""The official ``tritonclient[http]`` against the running service, in its binary default and in JSON."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.integration

TEXTS = ["red shoe", "where is my order", "Ünï 🙂", "late " * 50]


@pytest.fixture(scope="module")
def client(tiny_service: str) -> Iterator[Any]:
    with triton.InferenceServerClient(tiny_service.removeprefix("http://")) as client:
        yield client


def tensor(name: str, texts: Any, *, is_binary: bool = True) -> Any:
    values = np.array(texts, dtype=object)
    given = triton.InferInput(name, list(values.shape), "BYTES")
    given.set_data_from_numpy(values, binary_data=is_binary)
    return given


def decoded(values: NDArray[Any]) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else str(each) for each in values.tolist()]


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sentiment")
    assert client.is_model_ready("sentiment", "1")
    assert not client.is_model_ready("sentiment", "2")
    assert not client.is_model_ready("nope")
    assert client.get_server_metadata()["name"] == "encodeonce"
    metadata = client.get_model_metadata("sentiment")
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert {each["name"] for each in metadata["outputs"]} >= {"label", "score", "scores", "logits"}


@pytest.mark.parametrize("is_binary", [True, False])
def test_a_task_answers_as_over_json(client: Any, tiny_service: str, is_binary: bool) -> None:
    outputs = None if is_binary else [
        triton.InferRequestedOutput(name, binary_data=False) for name in ("label", "scores", "truncated")
    ]  # fmt: skip
    result = client.infer(
        "sentiment", [tensor("text", TEXTS, is_binary=is_binary)], outputs=outputs, request_id="7"
    )
    answers = httpx.post(f"{tiny_service}/v1/tasks/sentiment/predict", json={"inputs": TEXTS}).json()
    assert result.get_response()["id"] == "7"
    assert decoded(result.as_numpy("label")) == [each["label"] for each in answers["predictions"]]
    scores = [list(each["scores"].values()) for each in answers["predictions"]]
    np.testing.assert_allclose(result.as_numpy("scores"), scores, atol=1e-6)
    assert result.as_numpy("truncated").tolist() == [False, False, False, True]


def test_pairs_vectors_and_all_tasks_at_once(client: Any, tiny_service: str) -> None:
    pair = [tensor("text", ["red shoe"]), tensor("text_pair", ["blue shoe"])]
    everything = client.infer("tiny", pair)
    assert {each["name"] for each in everything.get_response()["outputs"]} == {
        "paraphrase", "entailment", "duplicate", "similarity", "related", "overlap",
    }  # fmt: skip
    value = json.loads(decoded(everything.as_numpy("similarity"))[0])["value"]
    assert client.infer("similarity", pair).as_numpy("value") == pytest.approx([value])
    vectors = client.infer("_embeddings", [tensor("text", TEXTS)]).as_numpy("embedding")
    expected = httpx.post(f"{tiny_service}/v1/embeddings", json={"input": TEXTS}).json()["data"]
    np.testing.assert_allclose(vectors, [each["embedding"] for each in expected], atol=1e-6)


def test_errors_reach_the_user_in_words(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"Unknown model 'nope'\. Served are: ") as unknown:
        client.infer("nope", [tensor("text", TEXTS)])
    assert unknown.value.status() == "404"
    with pytest.raises(InferenceServerException, match="Expected a text, found white space alone"):
        client.infer("sentiment", [tensor("text", ["  "])])
    with pytest.raises(InferenceServerException, match="content-encoding"):
        client.infer("sentiment", [tensor("text", TEXTS)], request_compression_algorithm="gzip")
