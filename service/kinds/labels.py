"""Classification: one label of several, or any number of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from service.kinds.answers import LabelAnswer, LabelsAnswer
from service.kinds.base import AnswerOptions, Decoder, Readings
from service.kinds.scores import sigmoid, softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDecoder(Decoder):
    """The most probable label. Ties go to the first label, as in training."""

    options: ClassVar[tuple[str, ...]] = ("top_k", "return_scores", "return_logits")

    labels: tuple[str, ...]
    temperature: float

    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[LabelAnswer]:
        """One answer for each input, from its one row."""
        scores = softmax(readings.logits, temperature=self.temperature)
        answers = [
            LabelAnswer(label=self.labels[best], score=row[best])
            for best, row in zip(readings.logits.argmax(axis=1).tolist(), scores.tolist(), strict=True)
        ]
        if options.return_scores:
            for answer, row in zip(answers, scores.tolist(), strict=True):
                answer["scores"] = score_table(self.labels, row, options.top_k)
        if options.return_logits:
            for answer, row in zip(answers, readings.logits.tolist(), strict=True):
                answer["logits"] = row
        return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLabelDecoder(Decoder):
    """Every label whose probability reaches its threshold."""

    options: ClassVar[tuple[str, ...]] = ("top_k", "return_scores", "return_logits")

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    temperature: float

    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[LabelsAnswer]:
        """One answer for each input, from its one row."""
        scores = sigmoid(readings.logits, temperature=self.temperature)
        is_given = (scores >= np.array(self.thresholds)).tolist()
        answers = []
        for row, logits, given in zip(scores.tolist(), readings.logits.tolist(), is_given, strict=True):
            ranked = sorted(range(len(row)), key=lambda place: -row[place])
            chosen = [self.labels[place] for place in ranked if given[place]]
            answer = LabelsAnswer(labels=chosen[: options.top_k])
            if options.return_scores:
                answer["scores"] = score_table(self.labels, row, options.top_k)
            if options.return_logits:
                answer["logits"] = logits
            answers.append(answer)
        return answers


def score_table(labels: Sequence[str], scores: Sequence[float], top_k: int | None) -> dict[str, float]:
    """Scores by label: all in the labels' order, or the ``top_k`` best, the best first."""
    table = zip(labels, scores, strict=True)
    return dict(table if top_k is None else sorted(table, key=lambda entry: -entry[1])[:top_k])
