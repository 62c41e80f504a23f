"""TEI's shapes over ASGI, and which task answers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from service.http.tei.embedding import MAX_TOKENS
from service.http.tei.schemas import TeiInfo
from service.lifecycle import Lifecycle
from service.settings import Settings
from tests.service.http.test_app import assert_problem, client_of, serving
from tests.support.service_fakes import MAX_LENGTH, task, tasks_of_every_kind

LONG = "a " * (MAX_LENGTH + 1)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tasks=tasks_of_every_kind(), max_inputs=4) as (client, _):
        yield client


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def test_one_input_gives_labels_by_score_and_a_batch_gives_lists(client: httpx.AsyncClient) -> None:
    (answer,) = (await post(client, "/v1/tasks/intent/predict", inputs=["red shoe"]))["predictions"]
    expected = [
        {"score": score, "label": label}
        for label, score in sorted(answer["scores"].items(), key=lambda each: -each[1])
    ]
    for inputs, found in (("red shoe", expected), (["red shoe"], expected), ([["red shoe"]], [expected])):
        assert await post(client, "/tei/predict?task=intent", inputs=inputs) == found
        assert await post(client, "/tei/intent/predict", inputs=inputs) == found


async def test_raw_scores_are_logits(client: httpx.AsyncClient) -> None:
    body = {"inputs": ["red shoe"], "return_logits": True}
    (answer,) = (await post(client, "/v1/tasks/topics/predict", **body))["predictions"]
    found = await post(client, "/tei/topics/predict", inputs="red shoe", raw_scores=True)
    assert sorted(each["score"] for each in found) == sorted(answer["logits"])
    assert [each["score"] for each in found] == sorted(answer["logits"], reverse=True)


async def test_two_strings_are_a_pair_and_the_only_task_that_takes_pairs_answers(
    client: httpx.AsyncClient,
) -> None:
    pair = {"text": "late", "text_pair": "too late"}
    (answer,) = (await post(client, "/v1/tasks/duplicate/predict", inputs=[pair]))["predictions"]
    found = await post(client, "/tei/predict", inputs=["late", "too late"])
    assert {each["label"]: each["score"] for each in found} == answer["scores"]
    assert await post(client, "/tei/predict", inputs=[["late", "too late"]] * 2) == [found, found]


@pytest.mark.parametrize(
    ("path", "inputs", "sentence"),
    [
        ("/tei/predict", "a", "Several tasks fit: intent, topics. Name one: ?task=intent"),
        ("/tei/predict?task=mood", "a", "Task 'mood' is a regression. This route takes: intent, topics, dup"),
        ("/tei/predict", [["a"], ["a", "b"]], "No task takes the inputs, which have text and text and text_"),
        ("/tei/intent/predict", ["a", "b"], "A batch of texts is [[text], [text]]"),
    ],
)
async def test_a_task_that_cannot_be_told_is_422_and_names_the_choices(
    client: httpx.AsyncClient, path: str, inputs: Any, sentence: str
) -> None:
    problem = assert_problem(await client.post(path, json={"inputs": inputs}), 422)
    assert sentence in problem.errors[0].message
    assert problem.error is not None
    assert sentence in problem.error
    assert problem.error_type == "validation"


async def test_an_unknown_task_is_404(client: httpx.AsyncClient) -> None:
    for path in ("/tei/predict?task=nope", "/tei/nope/predict"):
        assert_problem(await client.post(path, json={"inputs": "a"}), 404)


@pytest.mark.parametrize("inputs", [[], [[]], ["a", "b", "c"], [["a", "b", "c"]], ["a", ["b"]], 1, None, [1]])
async def test_other_shapes_are_refused_in_one_sentence(client: httpx.AsyncClient, inputs: Any) -> None:
    problem = assert_problem(await client.post("/tei/intent/predict", json={"inputs": inputs}), 422)
    assert [each.field for each in problem.errors] == ["inputs"]
    assert "[[text], [text, text_pair], …]" in problem.errors[0].message


async def test_texts_are_ranked(client: httpx.AsyncClient) -> None:
    texts = ["shoes", "where is my parcel", "lamps"]
    body = {"inputs": [{"query": "parcel", "documents": texts}], "return_logits": True}
    (answer,) = (await post(client, "/v1/tasks/passage/predict", **body))["predictions"]
    found = await post(client, "/tei/passage/rerank", query="parcel", texts=texts)
    assert found == answer["ranking"]
    raw = await post(
        client, "/tei/rerank?task=passage", query="parcel", texts=texts, raw_scores=True, return_text=True
    )
    assert raw == [
        {"index": each["index"], "score": answer["logits"][each["index"]], "text": texts[each["index"]]}
        for each in found
    ]


async def test_the_only_ranking_task_answers_unnamed_and_none_is_422() -> None:
    body = {"query": "a", "texts": ["b", "c"]}
    async with serving(tasks={"rank": task("ranking", pair="bi_encoder")}) as (client, _):
        assert len(await post(client, "/tei/rerank", **body)) == 2
    async with serving() as (client, _):
        assert (
            "no task of kind ranking"
            in assert_problem(await client.post("/tei/rerank", json=body), 422).detail
        )


async def test_vectors_have_unit_length_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    texts = ["red shoe", "lamp"]
    unit = np.array(await post(client, "/tei/embed", inputs=texts))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, atol=1e-6)
    raw = np.array(await post(client, "/tei/embed", inputs=texts, normalize=False))
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    assert (abs(norms - 1.0) > 1e-3).all()
    np.testing.assert_allclose(raw / norms, unit, atol=1e-6)
    assert len(await post(client, "/tei/embed", inputs="red shoe")) == 1


async def test_every_token_has_a_vector_and_their_mean_is_the_texts(client: httpx.AsyncClient) -> None:
    texts = ["red shoe", "lamp", "where is my parcel now"]
    found = await post(client, "/tei/embed_all", inputs=texts)
    assert [len(vectors) for vectors in found] == [len(text.split()) + 2 for text in texts]
    means = [np.mean(vectors, axis=0) for vectors in found]
    np.testing.assert_allclose(
        means, await post(client, "/tei/embed", inputs=texts, normalize=False), atol=1e-6
    )
    assert await post(client, "/tei/embed_all", inputs=texts[0]) == found[:1]


async def test_token_vectors_that_no_task_reads_are_not_there() -> None:
    async with serving() as (client, _):
        problem = assert_problem(await client.post("/tei/embed_all", json={"inputs": "a"}), 422)
    assert "keeps no token vectors" in problem.detail


async def test_more_token_vectors_than_fit_an_answer_are_413() -> None:
    async with serving(tasks=tasks_of_every_kind()) as (client, _):
        texts = [LONG] * (MAX_TOKENS // MAX_LENGTH + 1)
        assert_problem(await client.post("/tei/embed_all", json={"inputs": texts}), 413)
        assert len(await post(client, "/tei/embed_all", inputs=texts[1:])) == len(texts) - 1


async def test_truncation_can_be_refused(client: httpx.AsyncClient) -> None:
    for path, body in (
        ("/tei/intent/predict", {"inputs": LONG}),
        ("/tei/embed", {"inputs": LONG}),
        ("/tei/embed_all", {"inputs": LONG}),
        ("/tei/passage/rerank", {"query": "a", "texts": [LONG]}),
    ):
        assert await post(client, path, **body)
        assert await post(client, path, **body, truncate=True)
        assert_problem(await client.post(path, json=body | {"truncate": False}), 422)
        assert_problem(await client.post(path, json=body | {"truncation_direction": "Left"}), 422)


async def test_limits_and_blank_texts_are_those_of_every_route(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post("/tei/embed", json={"inputs": ["a"] * 5}), 413)
    assert_problem(await client.post("/tei/intent/predict", json={"inputs": " "}), 422)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/tei/embed", {"inputs": " "}, "inputs"),
        ("/tei/embed", {"inputs": ["a", " "]}, "inputs.1"),
        ("/tei/embed_all", {"inputs": ["a", " "]}, "inputs.1"),
        ("/tei/intent/predict", {"inputs": " "}, "inputs"),
        ("/tei/intent/predict", {"inputs": [" "]}, "inputs.0"),
        ("/tei/intent/predict", {"inputs": [["a"], [" "]]}, "inputs.1.0"),
        ("/tei/duplicate/predict", {"inputs": ["a", " "]}, "inputs.1"),
        ("/tei/duplicate/predict", {"inputs": [["a", "b"], ["a", " "]]}, "inputs.1.1"),
        ("/tei/passage/rerank", {"query": " ", "texts": ["a"]}, "query"),
        ("/tei/passage/rerank", {"query": "a", "texts": ["a", "b", " "]}, "texts.2"),
    ],
)
async def test_a_fault_has_its_place_in_the_body_that_was_sent(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    problem = assert_problem(await client.post(path, json=body), 422)
    assert [each.field for each in problem.errors] == [field]
    assert problem.error is not None
    assert f" {field}: " in problem.error


async def test_info_and_health(client: httpx.AsyncClient) -> None:
    info = TeiInfo.model_validate_json((await client.get("/tei/info")).content)
    assert (info.model_id, info.max_input_length) == ("fake", MAX_LENGTH)
    assert info.max_concurrent_requests == Settings().max_requests
    assert info.tasks == {"predict": ["intent", "topics", "duplicate"], "rerank": ["article", "passage"]}
    assert (await client.get("/tei/health")).status_code == 200
    async with client_of(Lifecycle()) as starting:
        assert assert_problem(await starting.get("/tei/health"), 503).error_type == "unhealthy"
