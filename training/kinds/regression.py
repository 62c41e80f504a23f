"""One number for one text, or for two."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import LabelledBatch
from training.examples import EncodedExamples, Examples
from training.kinds.base import UNCALIBRATED, Calibration, Kind, Logits, RowError
from training.kinds.cells import number_cell
from training.kinds.texts import Texts
from training.losses import ValueLoss
from training.metrics import VALUED, value_metrics


@dataclass(frozen=True, kw_only=True)
class Regression(Kind):
    """``regression`` of a text, ``pair_regression`` of two.

    Attributes:
        texts: What is valued.
        label_column: Column of the value.
        range: Bounds of the value; None for any number.
        objective: The loss.
    """

    labels = None
    texts: Texts
    label_column: str = "label"
    range: tuple[float, float] | None = None
    objective: ValueLoss = field(default_factory=ValueLoss)

    @property
    def name(self) -> str:
        """``regression``, or ``pair_regression`` where the texts are two."""
        return "pair_regression" if self.texts.is_pair else "regression"

    @property
    def bi_encoder(self) -> bool:
        """Whether a pair's texts are encoded apart."""
        return self.texts.bi_encoder

    @property
    def num_outputs(self) -> int:
        """One: the value."""
        return 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """Pearson's correlation first, Spearman's, the mean squared error."""
        return VALUED

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the text or of both, then of the value."""
        return (*self.texts.columns, self.label_column)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], float]:  # noqa: ANN401
        """The input, and the value, which lies in ``range`` if there is one."""
        *texts, label = cells
        value = number_cell(self.label_column, label)
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            raise RowError(f"{self.label_column} {value:g} is outside the range {list(self.range)}")
        return self.texts.parse(*texts), value

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """A sequence for each text or pair. A target is the value, of shape ``(1,)``."""
        return self.texts.encode(examples, tokenizer, _target)

    def encode_for_training(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Symmetric pairs in both orders."""
        return self.texts.encode_for_training(examples, tokenizer, _target)

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean over the examples of what ``objective`` says, squared error by default."""
        return self.objective(logits.squeeze(-1), batch.targets)

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """Of the values; the bounds are part of the head."""
        values = np.concatenate(logits)[:, 0].astype(np.float64)
        return value_metrics(values, np.array(examples.references))


def _target(value: float) -> NDArray[np.float32]:
    return np.array([value], dtype=np.float32)
