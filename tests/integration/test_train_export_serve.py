"""The whole line on a tiny random model: what was trained is what is served, whatever the company."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from service.assembly import Runtime, launch
from service.inputs import PairInput
from service.kinds.answers import Answer
from service.kinds.scores import softmax
from service.schemas import parse_input
from service.settings import Provider, Settings
from tests.support.tiny import WORDS
from training.assembly.trained import load_model
from training.data import encode_examples, load_examples
from training.evaluation import predict_logits

TIMEOUT_S = 60.0
SINGLE_TEXT_TASKS = ["sentiment", "topic", "stars"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def launched(tiny_bundle: Path) -> AsyncIterator[Runtime]:
    """The service behind HTTP, with real graphs. Starting it takes longer than any test here."""
    settings = Settings(
        bundle=tiny_bundle, provider=Provider.CPU, threads=1, max_batch_tokens=256, row_len=48
    )
    runtime = await launch(settings)
    yield runtime
    await runtime.close()


@pytest.fixture
def runtime(launched: Runtime) -> Runtime:
    """The same service, cold."""
    launched.cache.clear()
    return launched


def numbers(answer: Answer) -> list[float]:
    return list(answer["scores"].values()) if "scores" in answer else [answer["value"]]


@pytest.mark.parametrize(
    "task",
    [
        "sentiment",
        "topic",
        "stars",
        "length",
        "paraphrase",
        "entailment",
        "duplicate",
        "similarity",
        "related",
        "overlap",
    ],
)
async def test_served_answers_on_the_dev_set_are_the_torch_models(
    runtime: Runtime, tiny_run: Path, task: str
) -> None:
    trained = load_model(tiny_run)
    spec = trained.tasks[task]
    examples = load_examples(spec, trained.config.tasks[task].data.dev)
    encoded = encode_examples(spec, examples, trained.tokenizer)
    logits = predict_logits(trained.model, spec, encoded, batch_size=3)

    prediction = await runtime.engine.predict(
        [parse_input(example.input) for example in examples], tasks=[task], timeout_s=TIMEOUT_S
    )

    temperature = trained.metrics["calibration"].get(task, {"temperature": 1.0})["temperature"]
    for row, answers in zip(np.concatenate(logits), prediction.answers, strict=True):
        answer = answers[task]
        if spec.kind.labels:
            scores = softmax(row, temperature=temperature)
            assert numbers(answer) == pytest.approx(scores.tolist(), abs=1e-4)
            assert answer["label"] == spec.kind.labels[int(row.argmax())]
        else:
            assert answer["value"] == pytest.approx(row[0], abs=1e-4)


async def test_three_tasks_on_one_text_at_once_cost_one_encoder_row(runtime: Runtime) -> None:
    prediction = await runtime.engine.predict(
        ["the lamp arrived broken"], tasks=SINGLE_TEXT_TASKS, timeout_s=TIMEOUT_S
    )
    assert prediction.usage.encoder_rows == 1
    assert set(prediction.answers[0]) == set(SINGLE_TEXT_TASKS)


async def test_three_tasks_on_one_text_one_after_another_cost_one_encoder_row(runtime: Runtime) -> None:
    usages = [
        (await runtime.engine.predict(["a slow refund"], tasks=[task], timeout_s=TIMEOUT_S)).usage
        for task in SINGLE_TEXT_TASKS
    ]
    assert [usage.encoder_rows for usage in usages] == [1, 0, 0]
    assert [usage.cache_hits for usage in usages] == [0, 1, 1]


async def test_a_hundred_identical_cold_requests_cost_one_row_and_a_cancelled_one_harms_none(
    runtime: Runtime,
) -> None:
    requests = [
        asyncio.create_task(
            runtime.engine.predict(
                ["where is my parcel"], tasks=[SINGLE_TEXT_TASKS[number % 3]], timeout_s=TIMEOUT_S
            )
        )
        for number in range(100)
    ]
    await asyncio.sleep(0)  # every request has begun
    requests[0].cancel()
    results = await asyncio.gather(*requests, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    answered = [result for result in results[1:] if not isinstance(result, BaseException)]
    assert len(answered) == 99
    # The row belongs to whoever came first, which is the cancelled one.
    assert sum(result.usage.encoder_rows for result in answered) == 0
    assert {result.usage.coalesced for result in answered} == {1}
    assert len(runtime.cache.pooled) == 1


async def test_a_bi_encoded_pair_shares_its_rows_with_single_text_tasks(runtime: Runtime) -> None:
    first, second = "my order is late", "the shoe is red"
    await runtime.engine.predict([first, second], tasks=["sentiment"], timeout_s=TIMEOUT_S)
    pair = await runtime.engine.predict(
        [PairInput(text=first, text_pair=second)], tasks=["similarity", "duplicate"], timeout_s=TIMEOUT_S
    )
    assert (pair.usage.encoder_rows, pair.usage.cache_hits) == (0, 2)


async def test_a_cross_encoded_pair_is_one_row_for_all_pair_tasks(runtime: Runtime) -> None:
    pair = await runtime.engine.predict(
        [PairInput(text="my order is late", text_pair="the shoe is red")],
        tasks=["paraphrase", "entailment"],
        timeout_s=TIMEOUT_S,
    )
    assert pair.usage.encoder_rows == 1


async def test_a_text_in_any_company_gets_the_answer_it_gets_alone(runtime: Runtime) -> None:
    generator = np.random.default_rng(7)
    texts = [" ".join(generator.choice(WORDS, size=generator.integers(1, 20))) for _ in range(120)]
    alone = []
    for text in texts:
        runtime.cache.clear()
        prediction = await runtime.engine.predict([text], timeout_s=TIMEOUT_S)
        alone.append(prediction.answers[0])
    for _ in range(3):
        order = generator.permutation(len(texts))
        runtime.cache.clear()
        together = await runtime.engine.predict([texts[index] for index in order], timeout_s=TIMEOUT_S)
        for index, answers in zip(order, together.answers, strict=True):
            for task, answer in answers.items():
                assert numbers(answer) == pytest.approx(numbers(alone[index][task]), abs=1e-4)


async def test_a_cached_answer_equals_the_computed_one(runtime: Runtime) -> None:
    inputs = ["great lamp", "awful and slow", "where was my refund sent"]
    computed = await runtime.engine.predict(inputs, timeout_s=TIMEOUT_S)
    cached = await runtime.engine.predict(inputs, timeout_s=TIMEOUT_S)
    assert cached.usage.encoder_rows == 0
    for found, expected in zip(cached.answers, computed.answers, strict=True):
        assert found.keys() == expected.keys()
        for task, answer in expected.items():
            assert numbers(found[task]) == pytest.approx(numbers(answer))


async def test_embeddings_share_the_cache_with_the_tasks(runtime: Runtime) -> None:
    await runtime.engine.predict(["a blue shoe"], tasks=["sentiment"], timeout_s=TIMEOUT_S)
    embeddings = await runtime.engine.embed(["a blue shoe"], timeout_s=TIMEOUT_S)
    assert embeddings.usage.encoder_rows == 0
    assert np.linalg.norm(embeddings.vectors, axis=1) == pytest.approx([1.0], abs=1e-6)
