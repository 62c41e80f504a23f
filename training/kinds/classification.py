"""One label for one text, or for two."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import LabelledBatch
from training.calibration import fit_temperature
from training.examples import EncodedExamples, Examples
from training.kinds import forecasts
from training.kinds.base import UNCALIBRATED, Calibration, Forecasts, Kind, Logits
from training.kinds.cells import label_cell
from training.kinds.texts import Texts
from training.losses import LabelLoss
from training.metrics import LABELLED, label_metrics


@dataclass(frozen=True, kw_only=True)
class Classification(Kind):
    """``classification`` of a text, ``pair_classification`` of two.

    Attributes:
        texts: What is classified.
        labels: In the order of the logits.
        label_column: Column of the label's name.
        objective: The loss.
    """

    texts: Texts
    labels: tuple[str, ...]
    label_column: str = "label"
    objective: LabelLoss = field(default_factory=LabelLoss)

    @property
    def name(self) -> str:
        """``classification``, or ``pair_classification`` where the texts are two."""
        return "pair_classification" if self.texts.is_pair else "classification"

    @property
    def bi_encoder(self) -> bool:
        """Whether a pair's texts are encoded apart."""
        return self.texts.bi_encoder

    @property
    def num_outputs(self) -> int:
        """As many as there are labels."""
        return len(self.labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Accuracy first, F1 over the labels, Matthews' correlation."""
        return LABELLED

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the text or of both, then of the label."""
        return (*self.texts.columns, self.label_column)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], int]:  # noqa: ANN401
        """The input, and the label's place among the labels."""
        *texts, label = cells
        index = {name: number for number, name in enumerate(self.labels)}
        return self.texts.parse(*texts), label_cell(self.label_column, label, index)

    def adapted(self, train: Examples) -> Self:
        """With class weights by what occurs in train, where ``balanced`` asks for them."""
        counts = np.bincount([example.target for example in train], minlength=len(self.labels))
        return replace(self, objective=self.objective.balanced_by(counts))

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """A sequence for each text or pair. A target is the label's place, of shape ``(1,)``."""
        return self.texts.encode(examples, tokenizer, _target)

    def encode_for_training(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Symmetric pairs in both orders."""
        return self.texts.encode_for_training(examples, tokenizer, _target)

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean over the examples of what ``objective`` says, cross-entropy by default."""
        return self.objective(logits, batch.targets)

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """Of the best label; no temperature changes which that is."""
        return label_metrics(np.concatenate(logits).argmax(axis=1), np.array(examples.references))

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration:
        """A temperature of the softmax over the labels."""
        return Calibration(temperature=fit_temperature(np.concatenate(logits), np.array(examples.references)))

    def forecasts(self, logits: Logits, examples: EncodedExamples, calibration: Calibration) -> Forecasts:
        """That the best label is the right one."""
        return forecasts.of_labels(
            np.concatenate(logits), np.array(examples.references), calibration.temperature
        )


def _target(label: int) -> NDArray[np.int64]:
    return np.array([label], dtype=np.int64)
