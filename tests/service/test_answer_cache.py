import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.answer_cache import MAX_INPUTS, MAX_VALUES, AnswerCache, Question
from service.assembly import Runtime
from service.engine import DEFAULT_OPTIONS, Prediction, Usage
from service.inputs import ChoiceInput, PairInput, TaskInput
from service.kinds.answers import LabelAnswer
from service.kinds.base import AnswerOptions
from service.lifecycle import Lifecycle
from tests.service.http.test_app import client_of
from tests.support.service_fakes import FakeHeadSession, Parts, parts, running

TEXT = "a b"
PAIR = {"text": "a", "text_pair": "b"}
TEXTS = st.text(max_size=4)
INPUTS = st.one_of(
    TEXTS,
    st.builds(PairInput, text=TEXTS, text_pair=TEXTS),
    st.builds(ChoiceInput, choices=st.tuples(TEXTS, TEXTS), context=TEXTS),
)
QUESTIONS = st.builds(
    Question,
    model=st.integers(0, 1),
    tenant=TEXTS,
    tasks=st.none() | st.lists(TEXTS, max_size=2),
    options=st.builds(AnswerOptions, top_k=st.none() | st.integers(1, 2), return_scores=st.booleans()),
    inputs=st.lists(INPUTS, max_size=3),
)
KIB = 1024


def question(*inputs: TaskInput) -> Question:
    return Question(model=0, tenant="", tasks=["intent"], options=DEFAULT_OPTIONS, inputs=inputs or ("a",))


def prediction(number: int = 0) -> Prediction:
    answer = LabelAnswer(
        label="refund", score=0.5, scores={f"label {each}": 0.1 * number for each in range(3)}
    )
    usage = Usage(tokens=7, encoder_rows=2, cache_hits=1, coalesced=1)
    return Prediction(answers=[{"intent": answer}], sequences={"intent": 4}, usage=usage)


@given(QUESTIONS, QUESTIONS)
def test_keys_are_equal_exactly_if_questions_are(one: Question, other: Question) -> None:
    assert (one.key == other.key) == (one == other)


@pytest.mark.parametrize(
    "text", ["'", '"', "\\'", "a', 'b", "\ud800", "\x00", "ю", "\N{COMBINING ACUTE ACCENT}"]
)
def test_no_text_can_pretend_to_be_another_question(text: str) -> None:
    alike = [
        question(text),
        question(text, ""),
        question(repr(text)),
        question(PairInput(text=text, text_pair="")),
    ]
    assert len({each.key for each in alike}) == len(alike)


def test_a_repeated_answer_cost_nothing() -> None:
    cache = AnswerCache(64 * KIB)
    cache.put(question(), prediction())
    again = cache.get(question())
    assert again is not None
    assert again.answers == prediction().answers
    assert again.usage.counts() == {"tokens": 7, "encoder_rows": 0, "cache_hits": 4, "coalesced": 0}


def test_answers_are_charged_for_at_least_the_memory_they_hold() -> None:
    cache = AnswerCache(1024 * KIB)
    cache.put(question("warm"), prediction(1))
    charged = cache.predictions.num_bytes
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(500):
            cache.put(question(f"the text of number {number}"), prediction(number))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0 < held <= cache.predictions.num_bytes - charged


def test_the_least_recently_asked_leave_and_the_bound_holds() -> None:
    cache = AnswerCache(8 * KIB)
    for number in range(50):
        cache.put(question(str(number)), prediction())
        assert cache.get(question("0")) is not None
        assert cache.predictions.num_bytes <= 8 * KIB
    assert cache.get(question("1")) is None
    assert cache.get(question("49")) is not None


def test_a_jobs_requests_are_not_kept() -> None:
    cache = AnswerCache(64 * KIB)
    few, many = (question(*map(str, range(count))) for count in (MAX_INPUTS, MAX_INPUTS + 1))
    for each in (few, many):
        cache.put(each, prediction())
    assert cache.get(few) is not None
    assert cache.get(many) is None


def test_answers_of_a_million_values_are_not_even_weighed() -> None:
    class Weighed(dict[str, Any]):
        """One of many answers, which must not be looked at."""

        def keys(self) -> Any:
            raise AssertionError("every value was looked at")

    cache = AnswerCache(1024 * KIB)
    large: Any = {"tokens": [Weighed(), *([0.0] * MAX_VALUES)]}
    usage = prediction().usage
    cache.put(question(), Prediction(answers=[{"intent": large}], sequences={"intent": 1}, usage=usage))
    assert cache.get(question()) is None


def test_nothing_is_kept_where_it_is_off() -> None:
    cache = AnswerCache(0)
    cache.put(question(), prediction())
    assert cache.get(question()) is None
    assert len(cache.predictions) == 0


@asynccontextmanager
async def serving(*loaded: Parts) -> AsyncIterator[tuple[httpx.AsyncClient, Runtime]]:
    lifecycle = Lifecycle()
    async with running(*loaded) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(runtime)
        yield client, runtime


async def ask(client: httpx.AsyncClient, *, version: str | None = None, **more: Any) -> dict[str, Any]:
    headers = {} if version is None else {"x-model-version": version}
    answer = await client.post("/v1/predict", json={"inputs": [TEXT, PAIR], **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def head_runs(loaded: Parts) -> int:
    return sum(each.calls for each in loaded.heads.values() if isinstance(each, FakeHeadSession))


async def test_a_request_that_comes_again_is_answered_as_before_without_a_head() -> None:
    loaded = parts()
    async with serving(loaded) as (client, _):
        first = await ask(client)
        runs = head_runs(loaded)
        again = await ask(client)
        assert head_runs(loaded) == runs > 0
        assert again["predictions"] == first["predictions"]
        assert again["usage"] == {
            **first["usage"],
            "encoder_rows": 0,
            "cache_hits": first["usage"]["encoder_rows"],
        }
        metrics = (await client.get("/metrics")).text
        assert 'encodeonce_lookups_total{outcome="hit",task="intent"} 1.0' in metrics
        assert 'encodeonce_cache_entries{store="answers"} 1.0' in metrics


async def test_other_tasks_and_options_are_answered_for_themselves() -> None:
    async with serving(parts()) as (client, _):
        every = (await ask(client))["predictions"][0]
        assert (await ask(client, tasks=["intent", "duplicate"]))["predictions"][0] == {
            "intent": every["intent"]
        }
        assert "scores" in every["intent"]
        assert "scores" not in (await ask(client, return_scores=False))["predictions"][0]["intent"]


async def test_each_version_has_answers_of_its_own_and_so_has_one_that_is_loaded_anew() -> None:
    first, second = parts(), parts(version="2")
    async with serving(first, second) as (client, runtime):
        await runtime.models.load(second.bundle.path)
        assert await ask(client, version="1.2.3") != await ask(client, version="2")
        await runtime.models.unload("fake", "2")
        await runtime.models.load(second.bundle.path)
        runs = head_runs(second)
        await ask(client, version="2")
        assert head_runs(second) > runs
