"""What a kind of task is: how its rows are read, what the encoder gets, what is learnt, what is measured."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import LabelledBatch
from training.examples import EncodedExamples, Example, Examples

Logits = Sequence[NDArray[np.float32]]
"""Of each example ``(rows of logits, num_outputs)``; of a token-level kind ``(tokens, num_outputs)``."""


class RowError(ValueError):
    """What is wrong with a row. The reader adds which row of which source it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is fitted on dev after training, and applied by the service.

    Attributes:
        temperature: Divides the logits before softmax or sigmoid.
        thresholds: Of several labels at once: the probability from which each is given, 0.5 if None.
        no_answer_threshold: Of question answering: how far the best span's logits must exceed those of no
            answer; None where every question has one.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] | None = None
    no_answer_threshold: float | None = None

    @property
    def decides(self) -> bool:
        """Whether it changes answers and not only their probabilities."""
        return self.thresholds is not None or self.no_answer_threshold is not None


UNCALIBRATED = Calibration()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """Probabilities that a model gave, and what came true.

    Attributes:
        probabilities: Of one event each. Shape ``(num_events,)``.
        outcomes: 1 where the event came true, else 0. Same shape.
    """

    probabilities: NDArray[np.float64]
    outcomes: NDArray[np.float64]


class Kind(ABC):
    """One kind of task, with the columns it reads, its labels and its loss. Holds no weights and no data."""

    labels: tuple[str, ...] | None
    """In the order of the logits; None where the answer is not made of labels."""

    is_token_level: ClassVar[bool] = False
    """Whether the head answers for every token instead of once for a sequence or pair."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the YAML file and the manifest call the kind."""

    @property
    def bi_encoder(self) -> bool:
        """Whether the texts of a pair are encoded apart."""
        return False

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """Columns of the logits."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of what ``measure`` gives, the primary metric first."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """What is read of each row."""

    @abstractmethod
    def parse(self, *cells: Any) -> tuple[dict[str, Any], Any]:  # noqa: ANN401 - whatever the data has
        """Check one row.

        Args:
            cells: In the order of ``columns``.

        Returns:
            Input and target of an ``Example``.

        Raises:
            RowError: If the row does not fit.
        """

    def gather(self, parsed: Sequence[Example]) -> Sequence[Example]:
        """Rows → examples, where an example is made of several rows.

        Raises:
            RowError: If rows do not fit together.
        """
        return parsed

    def notes(self, examples: Examples) -> tuple[str, ...]:
        """What a person should know of these examples, such as those that no metric counts."""
        return ()

    def adapted(self, train: Examples) -> Self:
        """The same kind with what its loss takes from the train examples, such as balanced class weights."""
        return self

    @abstractmethod
    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Tokenise examples as they are evaluated and served.

        Raises:
            DataError: If an example does not fit the tokenizer's ``max_length``.
        """

    def encode_for_training(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Tokenise examples as they are learnt from: shown twice, or in parts, where the kind asks for it."""
        return self.encode(examples, tokenizer)

    @abstractmethod
    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean loss of a batch.

        Args:
            logits: Shape ``(num_rows, num_outputs)``; of a token-level kind
                ``(num_sequences, seq_len, num_outputs)``.
            batch: Of examples from ``encode_for_training``.
        """

    @abstractmethod
    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """Metrics by name, in the order of ``metrics``."""

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration | None:
        """Fit temperature and thresholds; None where the answer is no probability."""
        return None

    def forecasts(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration
    ) -> Forecasts | None:
        """Served probabilities beside what came true, for the expected calibration error."""
        return None
