"""Regression: a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from service.kinds.answers import ValueAnswer
from service.kinds.base import AnswerOptions, Decoder, Readings


@dataclass(frozen=True, slots=True)
class ValueDecoder(Decoder):
    """The value as the graph gives it; a scaled sigmoid is inside."""

    options: ClassVar[tuple[str, ...]] = ("return_logits",)

    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[ValueAnswer]:
        """One answer for each input, from its one row."""
        values = readings.logits.tolist()
        if options.return_logits:
            return [ValueAnswer(value=row[0], logits=row) for row in values]
        return [ValueAnswer(value=value) for (value,) in values]
