"""The client against the running service, blocking and awaited."""

import inspect
from collections.abc import AsyncIterator, Iterator
from itertools import count, islice

import httpx
import pytest

from encodeonce_client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    LabelAnswer,
    Retries,
    UnknownName,
    ValueAnswer,
)
from tests.support.service_process import free_port

pytestmark = pytest.mark.integration

TEXTS = [f"where is order {number}" for number in range(50)]


@pytest.fixture
def client(tiny_service: str) -> Iterator[Client]:
    with Client(tiny_service) as client:
        yield client


@pytest.fixture
async def async_client(tiny_service: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(tiny_service) as client:
        yield client


def test_it_answers_as_the_service_does(client: Client, tiny_service: str) -> None:
    found = client.predict([TEXTS[0]], ["sentiment", "stars"], return_logits=True)
    raw = httpx.post(f"{tiny_service}/v1/predict", json={"inputs": TEXTS[:1]}).json()
    sentiment, stars = found.predictions[0]["sentiment"], found.predictions[0]["stars"]
    assert isinstance(sentiment, LabelAnswer)
    assert isinstance(stars, ValueAnswer)
    assert sentiment.scores == pytest.approx(raw["predictions"][0]["sentiment"]["scores"])
    assert sentiment.logits is not None
    assert (found.model, found.version, found.usage.tokens) == ("tiny", "1", raw["usage"]["tokens"])
    pair = {"text": "red shoe", "text_pair": "blue shoe"}
    (duplicate,) = client.predict_task("duplicate", [pair]).predictions
    assert isinstance(duplicate, LabelAnswer)


def test_tasks_vectors_and_readiness(client: Client) -> None:
    tasks = client.tasks()
    assert tasks["sentiment"].labels == ("bad", "fine", "good")
    assert tasks["duplicate"].inputs == (("text", "text_pair"),)
    found = client.embed(TEXTS[:3])
    assert [sum(x * x for x in vector) for vector in found.vectors] == pytest.approx([1.0] * 3, abs=1e-5)
    assert client.is_ready()


def test_many_inputs_are_answered_in_order_and_taken_as_needed(client: Client) -> None:
    expected = client.predict(TEXTS, ["length"]).predictions
    assert list(client.predict_many(TEXTS, ["length"], batch_size=7, concurrency=3)) == list(expected)
    taken = count()
    endless = (f"order {next(taken)}" for _ in count())
    assert len(list(islice(client.predict_many(endless, ["length"], batch_size=5, concurrency=2), 12))) == 12
    assert next(taken) <= 5 * 2 * 4


def test_a_stream_goes_on_past_inputs_at_fault(client: Client) -> None:
    inputs = [*TEXTS[:5], " ", *TEXTS[5:], "half \ud800"]
    results = list(client.stream(inputs, ["sentiment"], batch_size=4, top_k=1))
    assert [index for index, each in enumerate(results) if each.problem is not None] == [5, len(inputs) - 1]
    expected = client.predict(TEXTS, ["sentiment"], top_k=1).predictions
    assert [each.unwrap() for each in results if each.problem is None] == list(expected)
    assert results[0].version == "1"
    with pytest.raises(InvalidRequest, match="white space"):
        results[5].unwrap()


def test_refusals_are_raised(client: Client, tiny_service: str) -> None:
    with pytest.raises(UnknownName, match="Unknown task 'nope'"):
        client.predict(["a"], ["nope"])
    with pytest.raises(InvalidRequest) as refusal:
        client.predict(["a", " "])
    assert refusal.value.problem.errors[0].field == "inputs.1.text"
    with pytest.raises(InvalidRequest, match="white space"):
        list(client.predict_many(["a", " "], ["length"], batch_size=1))
    with Client(tiny_service, timeout_s=1e-3) as hasty, pytest.raises(DeadlineExceeded):
        hasty.predict([f"never seen {number}" for number in range(1000)])


def test_a_service_that_is_not_there_is_a_failed_connection() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", retries=Retries(attempts=2, base_s=0.0)) as client:
        assert not client.is_ready()
        with pytest.raises(ConnectionFailed, match="failed 2 times"):
            client.tasks()


async def test_awaited_it_does_the_same(async_client: AsyncClient, client: Client) -> None:
    assert (await async_client.predict(TEXTS)).predictions == client.predict(TEXTS).predictions
    assert await async_client.predict_task("stars", TEXTS[:1]) == client.predict_task("stars", TEXTS[:1])
    assert (await async_client.embed(TEXTS[:1])).vectors == client.embed(TEXTS[:1]).vectors
    assert await async_client.tasks() == client.tasks()
    assert await async_client.is_ready()
    many = [each async for each in async_client.predict_many(TEXTS, ["length"], batch_size=8)]
    assert many == list(client.predict_many(TEXTS, ["length"]))
    lines = [each async for each in async_client.stream([*TEXTS, " "], ["length"], batch_size=8)]
    assert [each.unwrap() for each in lines[:-1]] == many
    assert lines[-1].problem is not None
    with pytest.raises(UnknownName):
        await async_client.predict(["a"], ["nope"])


def test_both_clients_have_the_same_methods() -> None:
    methods = [
        {name: inspect.signature(method).parameters.keys()
         for name, method in vars(kind).items() if inspect.isfunction(method) and not name.startswith("_")}
        for kind in (Client, AsyncClient)
    ]  # fmt: skip
    assert methods[0].keys() - {"close"} == methods[1].keys() - {"aclose"}
    for name in methods[0].keys() & methods[1].keys():
        assert list(methods[0][name]) == list(methods[1][name]), name
