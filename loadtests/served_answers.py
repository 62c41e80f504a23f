"""Served answers beside the torch model's logits, for every kind: same decisions, same numbers.

Answers are those of a request with ``return_logits``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from seqeval.metrics.sequence_labeling import get_entities

from loadtests.answered_metrics import Answer, Rows, answered_tags, logit_rows
from training.examples import EncodedExamples, Examples
from training.kinds.base import Calibration, Kind, Logits
from training.kinds.multi_label import MultiLabel
from training.kinds.question_answering import Passage, QuestionAnswering
from training.kinds.span_search import find_best_span
from training.kinds.tag_schemes import OUTSIDE, PREFIXES
from training.kinds.tagging import NO_TOKEN, TaggedWords, Tagging

TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTask:
    """One task's answers, compared.

    Attributes:
        differing: Answers that decide otherwise although the torch model's best two do not tie.
        deviation: Largest difference of a logit or value.
    """

    differing: int
    deviation: float


def compare_answers(
    kind: Kind,
    calibration: Calibration,
    examples: Examples,
    encoded: EncodedExamples,
    logits: Logits,
    answers: Sequence[Answer],
) -> ServedTask:
    """Compare a task's served answers with the torch model's logits.

    Args:
        kind: The task's.
        calibration: The bundle's.
        examples: What was asked.
        encoded: The same, tokenised.
        logits: Of the torch model, for each example.
        answers: Of the service, for each example.
    """
    match kind:
        case Tagging():
            return _compare_tags(kind, examples, encoded, logits, answers)
        case QuestionAnswering():
            return _compare_spans(kind, calibration, encoded, logits, answers)
        case _:
            return _compare_rows(kind, calibration, logits, answers)


def _compare_rows(
    kind: Kind, calibration: Calibration, logits: Logits, answers: Sequence[Answer]
) -> ServedTask:
    """Kinds that answer with every logit."""
    served = [logit_rows(answer) for answer in answers]
    return ServedTask(
        differing=sum(
            _decides_otherwise(kind, calibration, rows, answer)
            for rows, answer in zip(logits, answers, strict=True)
        ),
        deviation=max(float(np.abs(a - b).max()) for a, b in zip(served, logits, strict=True)),
    )


def _decides_otherwise(kind: Kind, calibration: Calibration, rows: Rows, answer: Answer) -> bool:
    """Whether the served decision is none that the torch model's logits allow."""
    if isinstance(kind, MultiLabel):
        probabilities = expit(rows[0].astype(np.float64) / calibration.temperature)
        thresholds = np.array(calibration.thresholds or [0.5] * len(kind.labels))
        given = np.array([label in answer["labels"] for label in kind.labels])
        clear = np.abs(probabilities - thresholds) > TOLERANCE
        return bool(((given != (probabilities >= thresholds)) & clear).any())
    if "ranking" in answer:
        ranked = rows[[each["index"] for each in answer["ranking"]], 0]
        return bool((np.diff(ranked) > TOLERANCE).any())
    if "index" in answer:
        return bool(rows.max() - rows[answer["index"], 0] > TOLERANCE)
    if kind.labels is not None:
        return bool(rows.max() - rows[0, kind.labels.index(answer["label"])] > TOLERANCE)
    return False  # a value is no decision


def _compare_tags(
    kind: Tagging, examples: Examples, encoded: EncodedExamples, logits: Logits, answers: Sequence[Answer]
) -> ServedTask:
    references: Sequence[TaggedWords] = encoded.references
    expected = [_best_tags(kind, rows, words) for rows, words in zip(logits, references, strict=True)]
    served = [
        answered_tags(kind, example.input["tokens"], answer)
        for example, answer in zip(examples, answers, strict=True)
    ]
    read = get_entities if kind.scheme in PREFIXES else list
    return ServedTask(
        differing=sum(read(one) != read(other) for one, other in zip(expected, served, strict=True)),
        deviation=max(
            _word_deviation(rows, words, answer)
            for rows, words, answer in zip(logits, references, answers, strict=True)
        ),
    )


def _best_tags(kind: Tagging, rows: Rows, words: TaggedWords) -> list[str]:
    best = rows.argmax(axis=1)
    return [OUTSIDE if token == NO_TOKEN else kind.labels[best[token]] for token in words.tokens]


def _word_deviation(rows: Rows, words: TaggedWords, answer: Answer) -> float:
    gaps = [
        np.abs(rows[token] - np.array(given)).max()
        for token, given in zip(words.tokens, answer["logits"], strict=True)
        if given is not None
    ]
    return float(max(gaps, default=0.0))


def _compare_spans(
    kind: QuestionAnswering,
    calibration: Calibration,
    encoded: EncodedExamples,
    logits: Logits,
    answers: Sequence[Answer],
) -> ServedTask:
    passages: Sequence[Passage] = encoded.references
    threshold = calibration.no_answer_threshold
    differing, deviation = 0, 0.0
    for passage, rows, answer in zip(passages, logits, answers, strict=True):
        span = find_best_span(
            passage.above_no_answer(rows),
            passage.windows,
            max_answer_tokens=kind.max_answer_tokens,
        )
        has_none = threshold is not None and span.margin <= threshold
        text = "" if has_none else passage.context[span.start : span.end].strip()
        gap = abs(span.margin - sum(answer["logits"])) if answer["answer"] and text else 0.0
        deviation = max(deviation, gap)
        # Two spans with one margin tie; so do a span and no answer at the threshold.
        ties = bool(answer["answer"] and text) or (
            threshold is not None and abs(span.margin - threshold) < TOLERANCE
        )
        differing += answer["answer"] != text and not (ties and gap <= TOLERANCE)
    return ServedTask(differing=differing, deviation=deviation)
