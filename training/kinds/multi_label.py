"""Any number of labels for one text."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import LabelledBatch
from training.calibration import DEFAULT_THRESHOLD, fit_temperature_of_events, sigmoid, tune_thresholds
from training.examples import EncodedExamples, Examples
from training.kinds import forecasts
from training.kinds.base import UNCALIBRATED, Calibration, Forecasts, Kind, Logits
from training.kinds.cells import label_cell, list_cell
from training.kinds.texts import Texts
from training.losses import MultiLabelLoss
from training.metrics import MULTI_LABELLED, multi_label_metrics


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Kind):
    """``multi_label``. A target is the numbers of the labels present, in order.

    Attributes:
        texts: What is classified.
        labels: In the order of the logits.
        label_column: Column of the list of labels present; it may be empty.
        objective: The loss.
    """

    texts: Texts
    labels: tuple[str, ...]
    label_column: str = "labels"
    objective: MultiLabelLoss = field(default_factory=MultiLabelLoss)

    @property
    def name(self) -> str:
        """``multi_label``."""
        return "multi_label"

    @property
    def num_outputs(self) -> int:
        """As many as there are labels."""
        return len(self.labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Of sets of labels, the F1 over all decisions first."""
        return MULTI_LABELLED

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the text, then of the list of labels."""
        return (*self.texts.columns, self.label_column)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], tuple[int, ...]]:  # noqa: ANN401
        """The input, and the places of its labels among the labels."""
        *texts, labels = cells
        index = {name: number for number, name in enumerate(self.labels)}
        present = {
            label_cell(f"{self.label_column}[{number}]", label, index)
            for number, label in enumerate(list_cell(self.label_column, labels))
        }
        return self.texts.parse(*texts), tuple(sorted(present))

    def adapted(self, train: Examples) -> Self:
        """With class weights by what occurs in train, where ``balanced`` asks for them."""
        present = [number for example in train for number in example.target]
        counts = np.bincount(present, minlength=len(self.labels))
        return replace(self, objective=self.objective.balanced_by(counts, len(train)))

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """A sequence for each text. A target is 1 where a label is given, of shape ``(1, num_labels)``."""
        return self.texts.encode(examples, tokenizer, self._target)

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean over examples and labels of what ``objective`` says, binary cross-entropy by default."""
        return self.objective(logits, batch.targets)

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """Of the labels whose probability reaches their threshold."""
        probabilities = sigmoid(np.concatenate(logits), calibration.temperature)
        thresholds = np.array(calibration.thresholds or [DEFAULT_THRESHOLD] * len(self.labels))
        return multi_label_metrics(probabilities, thresholds, np.concatenate(examples.targets))

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration:
        """One temperature for all labels, a threshold for each."""
        every, present = np.concatenate(logits), np.concatenate(examples.targets)
        temperature = fit_temperature_of_events(every, present)
        return Calibration(
            temperature=temperature, thresholds=tune_thresholds(sigmoid(every, temperature), present)
        )

    def forecasts(self, logits: Logits, examples: EncodedExamples, calibration: Calibration) -> Forecasts:
        """That each label is present."""
        return forecasts.of_events(
            np.concatenate(logits), np.concatenate(examples.targets), calibration.temperature
        )

    def _target(self, present: tuple[int, ...]) -> NDArray[np.float32]:
        target = np.zeros((1, len(self.labels)), dtype=np.float32)
        target[0, list(present)] = 1
        return target
