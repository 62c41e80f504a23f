"""One of several choices, their number varying from example to example."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import LabelledBatch
from training.calibration import fit_temperature_of_choices
from training.examples import EncodedExamples, Examples
from training.kinds.base import UNCALIBRATED, Calibration, Forecasts, Kind, Logits, RowError
from training.kinds.cells import number_cell, shown, text_cell, text_cells
from training.losses import choice_loss
from training.metrics import CHOSEN
from training.tokenization import encode_texts


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Kind):
    """``multiple_choice``. A target is the number of the right choice, from 0.

    Context and question, those that there are, are joined by a space. Every choice is encoded behind them, or
    by itself.

    Attributes:
        context_column: None where there is no context.
        question_column: None where there is no question. One of both is needed.
        choices_column: Column of the list of choices.
        label_column: Column of the right one's number.
        is_bi_encoder: Whether choices are encoded by themselves, and context and question once for them all.
    """

    labels = None
    context_column: str | None = None
    question_column: str | None = None
    choices_column: str = "choices"
    label_column: str = "label"
    is_bi_encoder: bool = False

    @property
    def name(self) -> str:
        """``multiple_choice``."""
        return "multiple_choice"

    @property
    def bi_encoder(self) -> bool:
        """Whether choices are encoded by themselves."""
        return self.is_bi_encoder

    @property
    def num_outputs(self) -> int:
        """One: how well a choice fits."""
        return 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """Accuracy alone."""
        return CHOSEN

    @property
    def columns(self) -> tuple[str, ...]:
        """Context and question, choices, label."""
        return (*self._text_columns.values(), self.choices_column, self.label_column)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], int]:  # noqa: ANN401
        """The input, and the right choice's number, from 0."""
        *texts, listed, label = cells
        given: dict[str, Any] = {
            field: text_cell(column, cell)
            for (field, column), cell in zip(self._text_columns.items(), texts, strict=True)
        }
        choices = text_cells(self.choices_column, listed)
        if len(choices) < 2:
            raise RowError(f"{self.choices_column} should be at least two, found {len(choices)}")
        number = number_cell(self.label_column, label)
        if number not in range(len(choices)):
            raise RowError(f"{self.label_column} {shown(label)} is no choice; known: 0 to {len(choices) - 1}")
        return {**given, "choices": list(choices)}, int(number)

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """A sequence for each choice; before them, if encoded by themselves, one for context and question."""
        texts: list[list[Any]] = []
        for example in examples:
            premise = " ".join(text for field, text in example.input.items() if field != "choices")
            choices = example.input["choices"]
            texts.append([premise, *choices] if self.is_bi_encoder else [(premise, each) for each in choices])
        sequences = iter(encode_texts(tokenizer, [text for each in texts for text in each]))
        return EncodedExamples(
            sequences=[tuple(next(sequences) for _ in each) for each in texts],
            targets=[np.array([example.target], dtype=np.int64) for example in examples],
            references=[example.target for example in examples],
            bi_encoded=self.is_bi_encoder,
        )

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Cross-entropy over each example's choices."""
        return choice_loss(logits, batch.example_ids, batch.targets)

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """How often the best choice is the right one."""
        right = [rows.argmax() == label for rows, label in zip(logits, examples.references, strict=True)]
        return {"accuracy": float(np.mean(right))}

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration:
        """A temperature of the softmax over the choices."""
        rows = [each[:, 0] for each in logits]
        return Calibration(temperature=fit_temperature_of_choices(rows, examples.references))

    def forecasts(self, logits: Logits, examples: EncodedExamples, calibration: Calibration) -> Forecasts:
        """That the best choice is the right one."""
        best = [softmax(rows.astype(np.float64) / calibration.temperature).max() for rows in logits]
        right = [rows.argmax() == label for rows, label in zip(logits, examples.references, strict=True)]
        return Forecasts(probabilities=np.array(best), outcomes=np.array(right, dtype=np.float64))

    @property
    def _text_columns(self) -> dict[str, str]:
        """Fields of the input, in the order they are joined, and their columns."""
        named = {"context": self.context_column, "question": self.question_column}
        return {field: column for field, column in named.items() if column is not None}
