"""The Open Inference Protocol over ASGI: every kind as a model, both framings, refusals."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from service.http.v2.framing import HEADER_LENGTH, pack_strings, unpack_strings
from service.http.v2.schemas import InferResponse, ModelMetadata, ServerMetadata
from service.lifecycle import Lifecycle
from tests.service.http.test_app import assert_problem, client_of, serving
from tests.support.service_fakes import HIDDEN_SIZE, tasks_of_every_kind

TEXTS = ["where is my parcel", "the lamp is broken"]
PAIR = {"text": ["late", "red"], "text_pair": ["too late", "blue"]}
DOCUMENTS = {"query": ["parcel", "lamp"], "documents": [["shoes", "lamps", "a"], ["b", "c d", "e"]]}
QUESTION = {"question": ["which word", "what"], "context": ["one two three", "four five"]}
CHOICES = {"context": ["It rains.", "Sun."], "choices": [["run", "wait"], ["walk", "sit"]]}
INPUTS: dict[str, dict[str, list[Any]]] = {
    "intent": {"text": TEXTS},
    "topics": {"text": TEXTS},
    "mood": {"text": TEXTS},
    "duplicate": PAIR,
    "similar": PAIR,
    "article": DOCUMENTS,
    "passage": DOCUMENTS,
    "entities": {"text": TEXTS},
    "word_class": {"tokens": [["New York", "is"], ["so", "far"]]},
    "answer": QUESTION,
    "next_step": CHOICES,
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tasks=tasks_of_every_kind(), max_inputs=6, max_body_bytes=5000) as (client, _):
        yield client


def tensors(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The fields as JSON tensors, flat."""
    return [
        {
            "name": name,
            "shape": list(np.array(values).shape),
            "datatype": "BYTES",
            "data": np.array(values, dtype=object).ravel().tolist(),
        }
        for name, values in columns.items()
    ]


async def infer(client: httpx.AsyncClient, model: str, **body: Any) -> dict[str, Any]:
    """The outputs by name, as arrays."""
    response = await client.post(f"/v2/models/{model}/infer", json=body)
    assert response.status_code == 200, response.text
    answer = InferResponse.model_validate_json(response.content)
    assert (answer.model_name, answer.model_version) == (model, "1.2.3")
    return {each.name: np.array(each.data).reshape(each.shape) for each in answer.outputs}


@pytest.mark.parametrize("task", INPUTS)
async def test_every_kind_answers_tensors_of_its_metadata_that_say_what_the_json_api_says(
    client: httpx.AsyncClient, task: str
) -> None:
    columns = INPUTS[task]
    found = await infer(client, task, inputs=tensors(columns))
    metadata = ModelMetadata.model_validate_json((await client.get(f"/v2/models/{task}")).content)
    assert [each.name for each in metadata.outputs] == list(found)
    for each in metadata.outputs:
        shape = found[each.name].shape
        assert all(size in (-1, real) for size, real in zip(each.shape, shape, strict=True)), each.name
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    asked = {"inputs": rows, "return_logits": True}
    answers = (await client.post(f"/v1/tasks/{task}/predict", json=asked)).json()["predictions"]
    labels = (await client.get(f"/v1/tasks/{task}")).json()["labels"]
    for place, answer in enumerate(answers):
        for name, column in found.items():
            assert_says(column[place], name, answer, labels)


def assert_says(found: Any, name: str, answer: dict[str, Any], labels: list[str]) -> None:
    """One input's part of an output is what its JSON answer says."""
    if name == "json":
        expected: Any = {key: value for key, value in answer.items() if key != "logits"}
        assert json.loads(str(found)) == expected
        return
    if name == "truncated":
        expected = answer.get("truncated", False)
    elif name == "is_given":
        expected = [label in answer["labels"] for label in labels]
    elif "ranking" in answer and name == "scores":
        expected = [each["score"] for each in sorted(answer["ranking"], key=lambda each: each["index"])]
    elif name == "scores" and isinstance(answer[name], dict):
        expected = [answer[name][label] for label in labels]
    else:
        expected = -1 if answer[name] is None else answer[name]
    if isinstance(expected, str):
        assert str(found) == expected
    else:
        np.testing.assert_allclose(
            np.asarray(found, dtype=float), np.asarray(expected, dtype=float), atol=1e-6
        )


async def test_binary_and_json_say_the_same(client: httpx.AsyncClient) -> None:
    payload = pack_strings(text.encode() for text in TEXTS)
    header = json.dumps(
        {
            "id": "seven",
            "parameters": {"binary_data_output": True},
            "inputs": [
                {
                    "name": "text",
                    "shape": [2, 1],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": len(payload)},
                }
            ],
            "outputs": [
                {"name": "scores"},
                {"name": "label"},
                {"name": "score", "parameters": {"binary_data": False}},
            ],
        }
    ).encode()
    response = await client.post(
        "/v2/models/intent/versions/1.2.3/infer",
        content=header + payload,
        headers={HEADER_LENGTH: str(len(header)), "content-type": "application/octet-stream"},
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[HEADER_LENGTH])
    body = InferResponse.model_validate_json(response.content[:length])
    assert body.id == "seven"
    scores, label, score = body.outputs
    assert scores.parameters is not None
    assert label.parameters is not None
    size = scores.parameters["binary_data_size"]
    rest = response.content[length:]
    assert len(rest) == size + label.parameters["binary_data_size"]
    found = await infer(client, "intent", inputs=tensors({"text": TEXTS}))
    np.testing.assert_array_equal(
        np.frombuffer(rest[:size], "<f4").reshape(scores.shape), found["scores"].astype("<f4")
    )
    assert [each.decode() for each in unpack_strings(rest[size:])] == found["label"].tolist()
    assert score.data == pytest.approx(found["score"].tolist())


async def test_the_bundles_model_answers_every_task_that_fits_from_one_encoding(
    client: httpx.AsyncClient,
) -> None:
    found = await infer(client, "fake", inputs=tensors({"text": TEXTS}))
    assert set(found) == {"intent", "topics", "mood", "entities", "word_class"}
    expected = (await client.post("/v1/predict", json={"inputs": TEXTS})).json()
    assert expected["usage"]["cache_hits"] == 2
    for task, column in found.items():
        assert [json.loads(each) for each in column] == [each[task] for each in expected["predictions"]]
    few = await infer(client, "fake", inputs=tensors({"text": TEXTS}), outputs=[{"name": "mood"}])
    assert list(few) == ["mood"]
    assert "duplicate" in await infer(client, "fake", inputs=tensors(PAIR))


async def test_vectors_are_a_model(client: httpx.AsyncClient) -> None:
    found = await infer(client, "_embeddings", inputs=tensors({"text": TEXTS}))
    assert found["embedding"].shape == (2, HIDDEN_SIZE)
    expected = (await client.post("/v1/embeddings", json={"input": TEXTS})).json()["data"]
    np.testing.assert_allclose(found["embedding"], [each["embedding"] for each in expected], atol=1e-6)
    assert found["truncated"].tolist() == [False, False]


async def test_data_may_be_nested_as_the_shape_says(client: httpx.AsyncClient) -> None:
    flat = tensors(DOCUMENTS)
    nested = [flat[0], flat[1] | {"data": DOCUMENTS["documents"]}]
    first, second = [await infer(client, "article", inputs=each) for each in (flat, nested)]
    np.testing.assert_array_equal(first["scores"], second["scores"])
    wrong = [flat[0], flat[1] | {"data": [["a", "b"], ["c", "d", "e", "f"]]}]
    assert_problem(await client.post("/v2/models/article/infer", json={"inputs": wrong}), 422)


async def test_server_and_models_are_described_and_ready(client: httpx.AsyncClient) -> None:
    server = ServerMetadata.model_validate_json((await client.get("/v2")).content)
    assert (server.name, server.extensions) == ("encodeonce", ["binary_tensor_data"])
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/intent/ready",
        "/v2/models/fake/versions/1.2.3/ready",
    ):
        response = await client.get(path)
        assert (response.status_code, response.content) == (200, b"")
    metadata = (await client.get("/v2/models/passage/versions/1.2.3")).json()
    assert metadata["inputs"] == [
        {"name": "query", "datatype": "BYTES", "shape": [-1]},
        {"name": "documents", "datatype": "BYTES", "shape": [-1, -1]},
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nope",
        "/v2/models/intent/versions/2",
        "/v2/models/nope/ready",
        "/v2/models/a/versions/1/ready",
    ],
)
async def test_an_unknown_model_or_version_is_404_and_names_the_known(
    client: httpx.AsyncClient, path: str
) -> None:
    problem = assert_problem(await client.get(path), 404)
    assert problem.error == problem.detail
    assert (
        "1.2.3" in problem.detail or "next_step, passage, similar, topics, word_class, fake" in problem.detail
    )


async def test_before_the_start_nothing_is_ready() -> None:
    async with client_of(Lifecycle()) as client:
        assert (await client.get("/v2/health/live")).status_code == 200
        assert (await client.get("/v2")).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/intent/ready", "/v2/models/intent"):
            assert_problem(await client.get(path), 503)


TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "txt"}, "inputs"),
        ({"shape": [2]}, "inputs.0.shape"),
        ({"shape": []}, "inputs.0.shape"),
        ({"shape": [0], "data": []}, "inputs.0.shape"),
        ({"shape": [7], "data": ["a"] * 7}, "inputs.0.shape"),
        ({"shape": [10**30]}, "inputs.0.shape"),
        ({"shape": [-1]}, "inputs.0.shape.0"),
        ({"shape": [1, 2], "data": ["a", "b"]}, "inputs.0.shape"),
        ({"datatype": "FP32"}, "inputs.0.datatype"),
        ({"data": [[["a"]]]}, "inputs.0.data.0"),
        ({"data": [1]}, "inputs.0.data.0"),
        ({"data": None}, "inputs.0"),
        ({"parameters": {"binary_data_size": 0}}, "inputs.0"),
        ({"parameters": {"shared_memory_region": "r"}}, "inputs.0.parameters.shared_memory_region"),
        ({"shape": [2], "data": ["a", " "]}, "inputs.0.data.1"),
    ],
)
async def test_a_faulty_tensor_is_422_and_named(
    client: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    response = await client.post("/v2/models/intent/infer", json={"inputs": [TEXT | change]})
    problem = assert_problem(response, 422)
    assert problem.errors[0].field.startswith(field)
    assert problem.error is not None
    assert problem.errors[0].message in problem.error


@pytest.mark.parametrize(
    ("model", "tensors", "field"),
    [
        ("_embeddings", {"text": ["a", " "]}, "inputs.0.data.1"),
        ("duplicate", {"text": ["a", "b"], "text_pair": ["a", " "]}, "inputs.1.data.1"),
        ("passage", {"query": ["a", "b"], "documents": [["a", "b"], ["c", " "]]}, "inputs.1.data.3"),
        ("passage", {"query": ["a", " "], "documents": [["a", "b"], ["c", "d"]]}, "inputs.0.data.1"),
        ("next_step", {"context": ["a"], "choices": [["only one"]]}, "inputs.1"),
        ("answer", {"question": ["a " * 40], "context": ["b"]}, "inputs.0.data.0"),
    ],
)
async def test_a_fault_of_a_text_has_its_place_among_the_tensors(
    client: httpx.AsyncClient, model: str, tensors: dict[str, Any], field: str
) -> None:
    body = [
        {"name": name, "shape": list(np.shape(data)), "datatype": "BYTES", "data": data}
        for name, data in tensors.items()
    ]
    problem = assert_problem(await client.post(f"/v2/models/{model}/infer", json={"inputs": body}), 422)
    assert [each.field for each in problem.errors] == [field]


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": "nope"}],
        [{"name": "label"}, {"name": "label"}],
        [],
        [{"name": "label", "parameters": {"classification": 2}}],
    ],
)
async def test_faulty_outputs_are_422(client: httpx.AsyncClient, outputs: list[Any]) -> None:
    response = await client.post("/v2/models/intent/infer", json={"inputs": [TEXT], "outputs": outputs})
    assert_problem(response, 422)


async def test_a_task_of_another_form_cannot_be_an_output_of_the_bundle(client: httpx.AsyncClient) -> None:
    body = {"inputs": [TEXT], "outputs": [{"name": "intent"}, {"name": "duplicate"}]}
    problem = assert_problem(await client.post("/v2/models/fake/infer", json=body), 422)
    assert [each.field for each in problem.errors] == ["outputs.1.name"]


@pytest.mark.parametrize(
    ("payload", "size", "status"),
    [
        (b"\x01\x00\x00\x00a", 5, 200),
        (b"\x01\x00\x00\x00a", 4, 400),
        (b"\x02\x00\x00\x00a", 5, 400),
        (b"\xff\xff\xff\xffa", 5, 400),
        (b"\x01\x00\x00\x00\xff", 5, 400),
        (b"\x01\x00\x00\x00a\x00", 6, 400),
        (b"", 0, 422),
    ],
)
async def test_binary_tensors_are_read_exactly_or_refused(
    client: httpx.AsyncClient, payload: bytes, size: int, status: int
) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
    header = json.dumps({"inputs": [tensor]}).encode()
    response = await client.post(
        "/v2/models/intent/infer", content=header + payload, headers={HEADER_LENGTH: str(len(header))}
    )
    assert response.status_code == status, response.text


async def test_the_timeout_parameter_is_microseconds_and_a_deadline(client: httpx.AsyncClient) -> None:
    body = {"inputs": [TEXT], "parameters": {"timeout": 1}}
    assert_problem(await client.post("/v2/models/intent/infer", json=body), 504)
    assert await infer(client, "intent", inputs=[TEXT], parameters={"timeout": 0, "priority": 3})


async def test_a_compressed_body_and_other_media_types_are_415(client: httpx.AsyncClient) -> None:
    for headers in ({"content-encoding": "gzip"}, {"content-type": "text/plain"}):
        response = await client.post("/v2/models/intent/infer", content=b"{}", headers=headers)
        assert_problem(response, 415)
