"""A task's served answers → its metrics. Answers are those of a request with ``return_logits``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from training.examples import EncodedExamples, Examples
from training.kinds.base import Calibration, Kind
from training.kinds.question_answering import QuestionAnswering
from training.kinds.squad import exact_match, f1
from training.kinds.tag_schemes import OUTSIDE, PREFIXES
from training.kinds.tagging import NO_TOKEN, Tagging
from training.metrics import span_metrics, tag_metrics

INPUTS_A_REQUEST = 32

Answer = Mapping[str, Any]
Rows = NDArray[np.float32]


def ask(
    client: httpx.Client, task: str, examples: Examples, *, on_rows: Callable[[int], None]
) -> list[Answer]:
    """The service's answer for each example, with its logits.

    Args:
        client: Of the service.
        task: Name of the task.
        examples: What to ask.
        on_rows: Called with the examples asked since the last call.
    """
    answers: list[Answer] = []
    while len(answers) < len(examples):
        inputs = [example.input for example in examples.items[len(answers) :][:INPUTS_A_REQUEST]]
        body = {"inputs": inputs, "return_logits": True}
        answer = client.post(f"/v1/tasks/{task}/predict", json=body).raise_for_status().json()
        answers += answer["predictions"]
        on_rows(len(inputs))
    return answers


def measure_answers(
    kind: Kind,
    calibration: Calibration,
    examples: Examples,
    encoded: EncodedExamples,
    answers: Sequence[Answer],
) -> dict[str, float]:
    """The metrics of a task's answers, the primary one first.

    Args:
        kind: The task's.
        calibration: The bundle's.
        examples: What was asked.
        encoded: The same, tokenised.
        answers: Of the service, for each example.
    """
    match kind:
        case Tagging():
            return _tag_metrics(kind, examples, encoded, answers)
        case QuestionAnswering():
            pairs = [
                (answer["answer"], passage.texts)
                for answer, passage in zip(answers, encoded.references, strict=True)
            ]
            return {
                "f1": float(np.mean([f1(*pair) for pair in pairs])),
                "exact_match": float(np.mean([exact_match(*pair) for pair in pairs])),
            }
        case _:
            return kind.measure([logit_rows(answer) for answer in answers], encoded, calibration)


def logit_rows(answer: Answer) -> Rows:
    """The logits of kinds that answer with every one of them: a row for each sequence of the example."""
    if "value" in answer:
        return np.array([[answer["value"]]], dtype=np.float32)
    is_of_candidates = "ranking" in answer or "index" in answer
    return np.array(answer["logits"], dtype=np.float32).reshape((-1, 1) if is_of_candidates else (1, -1))


def answered_tags(kind: Tagging, tokens: Sequence[str], answer: Answer) -> list[str]:
    """Tags of the words: as answered, or read from the entities' characters."""
    if kind.scheme not in PREFIXES:
        return [each["label"] or OUTSIDE for each in answer["tokens"]]
    starts = np.cumsum([0, *(len(token) + 1 for token in tokens)])[:-1]
    tags = [OUTSIDE] * len(tokens)
    for entity in answer["entities"]:
        inside = np.flatnonzero((starts >= entity["start"]) & (starts < entity["end"]))
        for place, word in enumerate(inside):
            tags[word] = f"{'I' if place else 'B'}-{entity['label']}"
    return tags


def _tag_metrics(
    kind: Tagging, examples: Examples, encoded: EncodedExamples, answers: Sequence[Answer]
) -> dict[str, float]:
    answered = [
        answered_tags(kind, example.input["tokens"], answer)
        for example, answer in zip(examples, answers, strict=True)
    ]
    expected = [[kind.labels[number] for number in words.tags] for words in encoded.references]
    if kind.scheme in PREFIXES:
        return span_metrics(answered, expected)
    numbers = {tag: number for number, tag in enumerate(kind.labels)}
    flat = [
        np.array([numbers.get(tag, NO_TOKEN) for words in every for tag in words])
        for every in (answered, expected)
    ]
    return tag_metrics(*flat)
