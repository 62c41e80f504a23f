"""Every kind over HTTP: inputs, answers, options, bad input. The engine is real, its sessions are fakes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.errors import InvalidRequest, MalformedBody
from service.http.predict import predict_native
from service.schemas import PredictResponse, TaskList
from tests.service.http.test_app import JSON, assert_problem, serving
from tests.support.service_fakes import MAX_LENGTH, FakeEncoderSession, task, tasks_of_every_kind

CONTEXT = " ".join(f"word{n}" for n in range(60))
INPUTS: list[Any] = [
    "where is my parcel",
    {"text": "where is my parcel", "text_pair": "my parcel is late"},
    {"query": "parcel", "documents": ["shoes", "where is my parcel", "lamps"]},
    {"question": "which word is it", "context": CONTEXT},
    {"context": "It rains.", "question": "What now?", "choices": ["run", "wait"]},
    {"tokens": ["where", "is", "New York"]},
]
ANSWERED_BY = [
    {"intent", "topics", "mood", "entities", "word_class"},
    {"duplicate", "similar"},
    {"article", "passage"},
    {"answer"},
    {"next_step"},
    {"entities", "word_class"},
]
ANSWER_KEYS: dict[str, set[str]] = {
    "intent": {"label", "score", "scores"},
    "topics": {"labels", "scores"},
    "mood": {"value"},
    "duplicate": {"label", "score", "scores"},
    "similar": {"value"},
    "article": {"ranking"},
    "passage": {"ranking"},
    "entities": {"entities"},
    "word_class": {"tokens"},
    "answer": {"answer", "start", "end", "score"},
    "next_step": {"choice", "index", "score", "scores"},
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tasks=tasks_of_every_kind(), max_inputs=9, max_text_chars=1000) as (client, _):
        yield client


async def predict(client: httpx.AsyncClient, *inputs: Any, **options: Any) -> list[dict[str, Any]]:
    """The answers, which must be what the response's schema says and no more."""
    response = await client.post("/v1/predict", json={"inputs": inputs, **options})
    assert response.status_code == 200, response.text
    found = PredictResponse.model_validate_json(response.content)
    assert found.model_dump(exclude_unset=True) == response.json()
    predictions: list[dict[str, Any]] = response.json()["predictions"]
    return predictions


async def test_one_request_asks_every_kind(client: httpx.AsyncClient) -> None:
    predictions = await predict(client, *INPUTS)
    assert [set(each) for each in predictions] == ANSWERED_BY
    for answers in predictions:
        for name, answer in answers.items():
            assert set(answer) == ANSWER_KEYS[name], name


@pytest.mark.parametrize(
    ("place", "name"), [(p, name) for p, names in enumerate(ANSWERED_BY) for name in sorted(names)]
)
async def test_a_tasks_own_route_gives_the_same_answer(
    client: httpx.AsyncClient, place: int, name: str
) -> None:
    (joint,) = await predict(client, INPUTS[place])
    body = (await client.post(f"/v1/tasks/{name}/predict", json={"inputs": [INPUTS[place]]})).json()
    assert body["predictions"] == [joint[name]]


async def test_answers_on_long_contexts_come_from_all_windows(client: httpx.AsyncClient) -> None:
    (answers,) = await predict(client, INPUTS[3], top_k=3)
    spans = answers["answer"]["answers"]
    assert len(spans) == 3
    for span in spans:
        assert CONTEXT[span["start"] : span["end"]] == span["answer"]
    assert "truncated" not in answers["answer"]


async def test_whatever_lost_tokens_says_so(client: httpx.AsyncClient) -> None:
    long = " ".join(["word"] * MAX_LENGTH)
    inputs = [
        long,
        "short",
        {"query": "q", "documents": ["short", long]},
        {"question": "q", "choices": [long, "a"]},
    ]
    predictions = await predict(client, *inputs)
    truncated = [{name for name, answer in each.items() if answer.get("truncated")} for each in predictions]
    assert truncated == [ANSWERED_BY[0], set(), {"article", "passage"}, {"next_step"}]
    data = (await client.post("/v1/embeddings", json={"input": [long, "short"]})).json()["data"]
    assert [each.get("truncated") for each in data] == [True, None]


async def test_options_change_the_answers_of_every_kind_that_heeds_them(client: httpx.AsyncClient) -> None:
    predictions = await predict(client, *INPUTS, top_k=1, return_scores=False, return_logits=True)
    answers = {name: answer for each in predictions for name, answer in each.items()}
    assert all("scores" not in each for each in answers.values())
    assert all("logits" in each for each in answers.values())
    assert len(answers["article"]["ranking"]) == len(answers["answer"]["answers"]) == 1
    assert len(answers["article"]["logits"]) == 3
    route = await client.post("/v1/tasks/intent/predict", json={"inputs": ["a"], "top_k": 2})
    assert len(route.json()["predictions"][0]["scores"]) == 2


async def test_a_hundred_documents_with_another_query_cost_one_encoder_row() -> None:
    documents = [f"document number {n}" for n in range(100)]
    encoder = FakeEncoderSession()
    async with serving(encoder, tasks_of_every_kind()) as (client, _):
        usages = []
        for query in ("late parcel", "broken lamp"):
            body = {"inputs": [{"query": query, "documents": documents}], "tasks": ["article"]}
            answer = (await client.post("/v1/predict", json=body)).json()
            assert sorted(each["index"] for each in answer["predictions"][0]["article"]["ranking"]) == [
                *range(100)
            ]
            usages.append(answer["usage"])
    assert [each["encoder_rows"] for each in usages] == [101, 1]
    assert usages[1]["cache_hits"] == 100
    assert encoder.rows_encoded == 102


async def test_choices_that_were_seen_cost_one_encoder_row_for_another_context() -> None:
    choices = [f"step number {n}" for n in range(20)]
    tasks = {"step": task("multiple_choice", pair="bi_encoder"), "intent": task()}
    async with serving(tasks=tasks) as (client, _):
        usages = []
        for context in ("late parcel", "broken lamp"):
            body = {"inputs": [{"context": context, "choices": choices}, context]}
            answer = (await client.post("/v1/predict", json=body)).json()
            assert answer["predictions"][0]["step"]["choice"] in choices
            usages.append(answer["usage"])
    assert [each["encoder_rows"] for each in usages] == [21, 1], "the context is a text like any other"
    assert [each["cache_hits"] for each in usages] == [0, 20]


async def test_documents_share_rows_with_the_tasks_on_single_texts(client: httpx.AsyncClient) -> None:
    await predict(client, "shoes", "parcel")
    body = {"inputs": [{"query": "parcel", "documents": ["shoes", "lamps"]}], "tasks": ["article"]}
    usage = (await client.post("/v1/predict", json=body)).json()["usage"]
    assert (usage["encoder_rows"], usage["cache_hits"]) == (1, 2)


async def test_windows_of_a_context_are_found_again(client: httpx.AsyncClient) -> None:
    first, second = [
        (await client.post("/v1/predict", json={"inputs": [INPUTS[3]]})).json()["usage"] for _ in range(2)
    ]
    assert first["encoder_rows"] == second["cache_hits"] > 3
    assert second["encoder_rows"] == 0


HUGE = "x" * 10**6


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ("", "inputs.0.text", "found none"),
        ({"query": "a", "documents": []}, "inputs.0.documents", "at least 1 item"),
        ({"query": "a", "documents": "b"}, "inputs.0.documents", "valid array"),
        ({"question": "a", "choices": []}, "inputs.0.choices", "at least 2 items"),
        ({"question": "a", "choices": ["b"]}, "inputs.0.choices", "at least 2 items"),
        ({"choices": ["a", "b"]}, "inputs.0", "context, question or both"),
        ({"choices": ["a", "b"], "context": None}, "inputs.0", "context, a question or both"),
        ({"tokens": []}, "inputs.0.tokens", "at least 1 item"),
        ({"tokens": ["a"] * 501}, "inputs.0.tokens", "1001 characters; at most 1000"),
        ({"text": "a", "context": "b"}, "inputs.0", "has text and context"),
        ({"text": "a", "question": "b", "choices": ["c", "d"]}, "inputs.0", "send several inputs"),
        ({"txt": "a"}, "inputs.0.txt", "Unknown field"),
        ({}, "inputs.0", "no field"),
        (3, "inputs.0", "Expected a string, or an object"),
        ({"text": 3}, "inputs.0.text", "valid string"),
        ({"text": None}, "inputs.0.text", "valid string"),
        ({"tokens": ["a", 3]}, "inputs.0.tokens.1", "valid string"),
        (HUGE, "inputs.0.text", "1000000 characters; at most 1000"),
        ({"question": "a " * 20, "context": "b"}, "inputs.0.question", "too few for the context"),
    ],
)
async def test_bad_input_is_422_and_named_by_its_place(
    client: httpx.AsyncClient, given: Any, field: str, words: str
) -> None:
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": [given]}), 422)
    messages = {each.field: each.message for each in problem.errors}
    assert words in messages[field], messages


def with_text(given: Any, field: str, text: str) -> Any:
    """The same input with another text at ``field``: a key, or a key and a place in its list."""
    name, _, place = field.partition(".")
    if not place:
        return {**given, name: text}
    return {
        **given,
        name: [text if str(number) == place else each for number, each in enumerate(given[name])],
    }


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"text": "a"}, ["text"]),
        (INPUTS[1], ["text", "text_pair"]),
        (INPUTS[2], ["query", "documents.0", "documents.2"]),
        (INPUTS[3], ["question", "context"]),
        (INPUTS[4], ["context", "question", "choices.0", "choices.1"]),
        (INPUTS[5], ["tokens.0", "tokens.2"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else " ".join(value),
)
async def test_every_text_of_every_form_is_checked(
    client: httpx.AsyncClient, given: Any, fields: list[str]
) -> None:
    for field in fields:
        for text, words in (("", "found none"), (" \n", "white space"), (HUGE, "characters; at most 1000")):
            body = {"inputs": ["fine", with_text(given, field, text)]}
            problem = assert_problem(await client.post("/v1/predict", json=body), 422)
            messages = {each.field: each.message for each in problem.errors}
            assert words in messages[f"inputs.1.{field}"], (field, messages)
        half = json.dumps({"inputs": ["fine", with_text(given, field, "a\ud800")]})
        assert_problem(await client.post("/v1/predict", content=half, headers=JSON), 400)
        await predict(client, with_text(given, field, "a\x00b"))


async def test_an_input_that_fits_no_asked_task_is_told_what_they_take(client: httpx.AsyncClient) -> None:
    body = {"inputs": ["a", INPUTS[2]], "tasks": ["article", "entities", "answer"]}
    assert (await client.post("/v1/predict", json=body)).status_code == 200
    body["inputs"] = ["a", INPUTS[1]]
    problem = assert_problem(await client.post("/v1/predict", json=body), 422)
    assert [(each.field, each.message) for each in problem.errors] == [
        (
            "inputs.1",
            "The input has text and text_pair, but article takes query and documents; "
            "entities takes text or tokens; answer takes question and context.",
        )
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"query": "a", "documents": ["b"] * 10},
        {"question": "a", "choices": ["b"] * 10},
    ],
)
async def test_every_document_and_choice_counts_against_the_limit(
    client: httpx.AsyncClient, given: Any
) -> None:
    problem = assert_problem(await client.post("/v1/predict", json={"inputs": [given]}), 413)
    assert problem.detail == "10 inputs; at most 9 a request. Split it."


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\ufeff", "\u202eabc", "\U0001f469\u200d\U0001f4bb", "e\u0301", "\uffff"]
)
async def test_any_character_that_unicode_has_is_text(client: httpx.AsyncClient, text: str) -> None:
    inputs: list[Any] = [text, {"tokens": [text, "a"]}, {"question": text, "context": text}]
    inputs += [{"query": text, "documents": [text]}, {"context": text, "choices": [text, "a"]}]
    await predict(client, *inputs)


async def test_tasks_describe_their_inputs_and_options(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/tasks")
    tasks = TaskList.model_validate_json(response.content).tasks
    assert {each.name for each in tasks} == tasks_of_every_kind().keys()
    assert all(each.inputs and each.options for each in tasks)


async def test_the_native_method_answers_and_refuses_as_the_route_does() -> None:
    async with serving(tasks=tasks_of_every_kind()) as (client, runtime):
        body = {"inputs": INPUTS, "top_k": 2, "return_logits": True}
        native = await predict_native(runtime, body)
        routed = (await client.post("/v1/predict", json=body)).json()
        assert json.loads(json.dumps(native["predictions"])) == routed["predictions"]
        with pytest.raises(InvalidRequest):
            await predict_native(runtime, {"inputs": [""]})
        with pytest.raises(InvalidRequest):
            await predict_native(runtime, {"inputs": ["a"], "top_k": 0})
        with pytest.raises(MalformedBody):
            await predict_native(runtime, {"inputs": ["\ud800"]})
