"""Every kind, head and pooling on a tiny model, trained, exported and served: equal logits, equal answers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.answered_metrics import measure_answers
from loadtests.served_answers import compare_answers
from service.assembly import Runtime, launch
from service.kinds.base import AnswerOptions
from service.planning import plan
from service.schemas import parse_input
from service.settings import Provider, Settings
from training.assembly.trained import TrainedModel, load_model
from training.data import encode_examples, load_examples
from training.evaluation import predict_logits
from training.examples import Examples
from training.kinds.base import Calibration

TIMEOUT_S = 60.0
TASKS = (
    "mood", "issues", "stars", "same", "close", "relevance",
    "answering", "entities", "parts", "answer", "next", "step",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(kinds_run: Path) -> TrainedModel:
    return load_model(kinds_run)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def runtime(kinds_bundle: Path, loop: asyncio.AbstractEventLoop) -> Iterator[Runtime]:
    """The service, started: its golden examples have passed."""
    settings = Settings(
        bundle=kinds_bundle, provider=Provider.CPU, threads=1, max_batch_tokens=128, row_len=48
    )
    runtime = loop.run_until_complete(launch(settings))
    yield runtime
    loop.run_until_complete(runtime.close())


def dev_rows(trained: TrainedModel, task: str) -> Examples:
    return load_examples(trained.tasks[task], trained.config.tasks[task].data.dev)


def test_one_request_asks_every_task(
    runtime: Runtime, trained: TrainedModel, loop: asyncio.AbstractEventLoop
) -> None:
    inputs = [parse_input(next(iter(dev_rows(trained, task))).input) for task in TASKS]
    prediction = loop.run_until_complete(runtime.engine.predict(inputs, timeout_s=TIMEOUT_S))
    assert set().union(*prediction.answers) == set(TASKS) == runtime.engine.kinds.keys()
    for task, answers in zip(TASKS, prediction.answers, strict=True):
        assert task in answers


@pytest.mark.parametrize("task", TASKS)
def test_served_logits_on_the_dev_set_are_the_torch_models(
    runtime: Runtime, trained: TrainedModel, loop: asyncio.AbstractEventLoop, task: str
) -> None:
    spec, examples = trained.tasks[task], dev_rows(trained, task)
    encoded = encode_examples(spec, examples, trained.tokenizer)
    expected = predict_logits(trained.model, spec, encoded, batch_size=3)
    planned = plan([parse_input(each.input) for each in examples], runtime.engine.tasks_named([task]))
    readings = loop.run_until_complete(runtime.engine.read(planned, timeout_s=TIMEOUT_S))
    for reading, logits in zip(readings[task].by_input(), expected, strict=True):
        np.testing.assert_allclose(reading.logits, logits, atol=1e-4)


def served(runtime: Runtime, loop: asyncio.AbstractEventLoop, task: str, examples: Examples) -> list[Any]:
    inputs = [parse_input(each.input) for each in examples]
    options = AnswerOptions(return_logits=True)
    work = runtime.engine.predict(inputs, tasks=[task], options=options, timeout_s=TIMEOUT_S)
    return [answers[task] for answers in loop.run_until_complete(work).answers]


@pytest.mark.parametrize("task", TASKS)
def test_served_answers_decide_and_score_as_the_torch_models_do(
    runtime: Runtime, trained: TrainedModel, loop: asyncio.AbstractEventLoop, task: str
) -> None:
    spec, examples = trained.tasks[task], dev_rows(trained, task)
    encoded = encode_examples(spec, examples, trained.tokenizer)
    logits = predict_logits(trained.model, spec, encoded, batch_size=3)
    # The dev figures are of thresholds fitted on the other half of dev; what is served was fitted on all.
    calibration = Calibration(**trained.metrics["calibration"].get(task, {}))
    answers = served(runtime, loop, task, examples)
    found = compare_answers(spec.kind, calibration, examples, encoded, logits, answers)
    assert found.differing == 0
    assert found.deviation < 1e-4
    metrics = measure_answers(spec.kind, calibration, examples, encoded, answers)
    assert metrics == pytest.approx(spec.kind.measure(logits, encoded, calibration), abs=1e-4)


def test_served_tags_are_those_that_the_dev_figures_were_measured_on(
    runtime: Runtime, trained: TrainedModel, loop: asyncio.AbstractEventLoop
) -> None:
    examples = dev_rows(trained, "parts")
    labels = runtime.engine.manifest.tasks["parts"].labels
    assert labels is not None
    is_right = [
        token["label"] == labels[number]
        for each, answer in zip(examples, served(runtime, loop, "parts", examples), strict=True)
        for token, number in zip(answer["tokens"], each.target, strict=True)
    ]
    assert np.mean(is_right) == pytest.approx(runtime.engine.manifest.tasks["parts"].metrics["accuracy"])
