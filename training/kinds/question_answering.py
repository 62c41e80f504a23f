"""The words of a context that answer a question, or none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training.batches import LabelledBatch
from training.calibration import fit_temperature_of_choices, tune_no_answer_threshold
from training.errors import DataError
from training.examples import EncodedExamples, Examples
from training.kinds.base import UNCALIBRATED, Calibration, Forecasts, Kind, Logits, RowError
from training.kinds.cells import is_missing, list_cell, number_cell, shown, text_cell
from training.kinds.span_search import BestSpan, find_best_span
from training.kinds.squad import exact_match, f1
from training.kinds.windows import OUTSIDE, Window, WindowEncoder
from training.metrics import ANSWERED

NO_ANSWER = (0, 0)
"""Target of a window without the answer: its first token, twice."""
DEFAULT_NO_ANSWER_THRESHOLD = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldAnswer:
    """A right answer.

    Attributes:
        text: As it stands in the context.
        start: Of its first character.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """Place behind its last character."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What one question's logits are compared with.

    Attributes:
        context: The whole of it.
        windows: In order.
        golds: The right answers; none where the question has no answer.
    """

    context: str
    windows: tuple[Window, ...]
    golds: tuple[GoldAnswer, ...]

    @property
    def texts(self) -> list[str]:
        """What the right answers say, for SQuAD's metrics."""
        return [gold.text for gold in self.golds]

    def above_no_answer(self, logits: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Logits of all windows → of each, less those of its first token."""
        windows = np.split(logits, np.cumsum([len(window.offsets) for window in self.windows])[:-1])
        return [window - window[0] for window in windows]


@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(Kind):
    """``question_answering``. A target is the right answers; none where the question has no answer.

    Attributes:
        stride: Tokens that neighbouring windows of a long context share.
        distractors: Windows of other contexts that training shows beside each question, to learn that they
            have no answer: most windows of a long context are such.
        seed: Of the run; the distractors depend on it and the examples alone.
        max_answer_tokens: Of an answer.
        context_column: Column of the context.
        question_column: Column of the question.
        label_column: Column of the answers: ``[{text, start}, …]``, or ``{text: […], answer_start: […]}`` as
            SQuAD has them on the hub. ``start`` counts characters of the context.
    """

    is_token_level: ClassVar[bool] = True

    labels = None
    stride: int
    distractors: int = 0
    seed: int = 0
    max_answer_tokens: int = 30
    context_column: str = "context"
    question_column: str = "question"
    label_column: str = "answers"

    @property
    def name(self) -> str:
        """``question_answering``."""
        return "question_answering"

    @property
    def num_outputs(self) -> int:
        """Two: whether a token is the answer's first, and whether it is its last."""
        return 2

    @property
    def metrics(self) -> tuple[str, ...]:
        """SQuAD's, F1 first."""
        return ANSWERED

    @property
    def columns(self) -> tuple[str, ...]:
        """Question, context, answers."""
        return (self.question_column, self.context_column, self.label_column)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], tuple[GoldAnswer, ...]]:  # noqa: ANN401
        """The input, and the right answers; none where there is no answer."""
        question, context, answers = cells
        given = {
            "question": text_cell(self.question_column, question),
            "context": text_cell(self.context_column, context),
        }
        return given, tuple(
            _gold(f"{self.label_column}[{number}]", text, start, given["context"])
            for number, (text, start) in enumerate(_listed(self.label_column, answers))
        )

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """A sequence for each window, with targets of shape ``(num_windows, 2)``.

        Raises:
            DataError: If a question leaves too little room for its context.
        """
        encoder = WindowEncoder(tokenizer, stride=self.stride)
        passages = []
        for example in examples:
            try:
                windows = encoder.encode(example.input["question"], example.input["context"])
            except ValueError as error:
                raise DataError(f"{examples.origin}, row {example.row}: {error}") from error
            passages.append(
                Passage(context=example.input["context"], windows=tuple(windows), golds=example.target)
            )
        return EncodedExamples(
            sequences=[tuple(window.sequence for window in passage.windows) for passage in passages],
            targets=[_targets(passage) for passage in passages],
            references=passages,
        )

    def encode_for_training(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Every window as an example of its own: a batch then holds as much as it says."""
        whole = self.encode(self._with_distractors(examples), tokenizer)
        return EncodedExamples(
            sequences=[(sequence,) for each in whole.sequences for sequence in each],
            targets=[target[None] for each in whole.targets for target in each],
            references=[passage for passage in whole.references for _ in passage.windows],
        )

    def _with_distractors(self, examples: Examples) -> Examples:
        """The examples, then each question beside contexts of others, where it has no answer."""
        contexts = sorted({example.input["context"] for example in examples})
        place_of = {context: place for place, context in enumerate(contexts)}
        if len(contexts) == 1:
            return examples
        generator, others = np.random.default_rng(self.seed), len(contexts) - 1
        added = []
        for example in examples:
            own = place_of[example.input["context"]]
            for step in generator.choice(others, size=min(self.distractors, others), replace=False):
                other = contexts[(own + 1 + int(step)) % len(contexts)]
                added.append(replace(example, input={**example.input, "context": other}, target=()))
        return Examples(origin=examples.origin, items=(*examples.items, *added))

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean cross-entropy of start and end over each window's tokens (Devlin et al. 2018, §4.2)."""
        padding = batch.inputs.attention_mask.unsqueeze(-1) == 0
        tokens = logits.masked_fill(padding, torch.finfo(logits.dtype).min)
        return functional.cross_entropy(tokens, batch.targets)

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """SQuAD's figures, as fractions of 1."""
        threshold = calibration.no_answer_threshold
        if threshold is None and any(not passage.golds for passage in examples.references):
            threshold = DEFAULT_NO_ANSWER_THRESHOLD
        answers = [
            ""
            if threshold is not None and span.margin <= threshold
            else passage.context[span.start : span.end]
            for span, passage in zip(self._spans(logits, examples), examples.references, strict=True)
        ]
        golds = [passage.texts for passage in examples.references]
        return {
            "f1": float(np.mean([f1(*pair) for pair in zip(answers, golds, strict=True)])),
            "exact_match": float(np.mean([exact_match(*pair) for pair in zip(answers, golds, strict=True)])),
        }

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration:
        """A temperature of start and end, and a threshold where some questions have no answer."""
        rows, chosen = [], []
        for raw, passage in zip(logits, examples.references, strict=True):
            tokens = np.concatenate(passage.above_no_answer(raw))
            place = _best_gold_tokens(tokens, passage)
            if place is not None:
                in_context = np.concatenate([window.offsets[:, 0] for window in passage.windows]) != OUTSIDE
                order = np.cumsum(in_context) - 1
                for column, token in enumerate(place):
                    rows.append(tokens[in_context, column])
                    chosen.append(int(order[token]))
        return Calibration(
            temperature=fit_temperature_of_choices(rows, chosen),
            no_answer_threshold=self._tuned_threshold(logits, examples),
        )

    def forecasts(self, logits: Logits, examples: EncodedExamples, calibration: Calibration) -> Forecasts:
        """That the best span is a right answer, of the questions that have one."""
        spans = self._spans(logits, examples, temperature=calibration.temperature)
        answerable = [
            (span.probability, exact_match(passage.context[span.start : span.end], passage.texts))
            for span, passage in zip(spans, examples.references, strict=True)
            if passage.golds
        ]
        probabilities, outcomes = np.array(answerable, dtype=np.float64).reshape(-1, 2).T
        return Forecasts(probabilities=probabilities, outcomes=outcomes)

    def _spans(
        self, logits: Logits, examples: EncodedExamples, *, temperature: float = 1.0
    ) -> list[BestSpan]:
        return [
            find_best_span(
                passage.above_no_answer(tokens),
                passage.windows,
                max_answer_tokens=self.max_answer_tokens,
                temperature=temperature,
            )
            for tokens, passage in zip(logits, examples.references, strict=True)
        ]

    def _tuned_threshold(self, logits: Logits, examples: EncodedExamples) -> float | None:
        passages: Sequence[Passage] = examples.references
        if all(passage.golds for passage in passages):
            return None
        spans = self._spans(logits, examples)
        scores = [
            f1(passage.context[span.start : span.end], passage.texts)
            for span, passage in zip(spans, passages, strict=True)
        ]
        return tune_no_answer_threshold(
            np.array([span.margin for span in spans]),
            np.array(scores),
            np.array([f1("", passage.texts) for passage in passages]),
        )


def _listed(place: str, cell: object) -> list[tuple[object, object]]:
    """Text and start of each answer, in either form."""
    if isinstance(cell, dict):
        texts, starts = (list_cell(f"{place}.{key}", cell.get(key)) for key in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise RowError(f"{place} has {len(texts)} texts and {len(starts)} starts")
        return list(zip(texts, starts, strict=True))
    pairs: list[tuple[object, object]] = []
    for number, answer in enumerate(list_cell(place, cell)):
        if not isinstance(answer, dict):
            raise RowError(f"{place}[{number}] should have text and start, found {shown(answer)}")
        pairs.append((answer.get("text"), answer.get("start", answer.get("answer_start"))))
    return pairs


def _gold(place: str, text: object, start: object, context: str) -> GoldAnswer:
    answer = text_cell(f"{place}.text", text)
    if is_missing(start):
        raise RowError(f"{place}.start is missing (null or NaN)")
    number = number_cell(f"{place}.start", start)
    found = context[int(number) : int(number) + len(answer)] if number >= 0 and number.is_integer() else ""
    if found != answer:
        raise RowError(
            f"{place} is {shown(answer)} from character {number:g}, but the context has {shown(found)} there"
        )
    return GoldAnswer(text=answer, start=int(number))


def _targets(passage: Passage) -> NDArray[np.int64]:
    """First and last token of the first right answer in each window. Shape ``(num_windows, 2)``."""
    places = [
        (window.tokens_of(passage.golds[0].start, passage.golds[0].end) if passage.golds else None)
        or NO_ANSWER
        for window in passage.windows
    ]
    return np.array(places, dtype=np.int64)


def _best_gold_tokens(logits: NDArray[np.float32], passage: Passage) -> tuple[int, int] | None:
    """First and last token, counted over all windows, of the right answer that the model holds best."""
    starts = np.cumsum([0, *(len(window.offsets) for window in passage.windows)])
    places = [
        (int(start) + place[0], int(start) + place[1])
        for start, window in zip(starts, passage.windows, strict=False)
        for gold in passage.golds
        if (place := window.tokens_of(gold.start, gold.end)) is not None
    ]
    return max(places, key=lambda place: logits[place[0], 0] + logits[place[1], 1], default=None)
