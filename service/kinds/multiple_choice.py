"""Multiple choice: which of any number of texts completes or answers another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from service.inputs import ChoiceInput
from service.kinds.answers import ChoiceAnswer
from service.kinds.base import AnswerOptions, InputDecoder, Reader, Reading
from service.kinds.scores import softmax
from service.kinds.texts import first_with_each_other
from service.tokenization import TextPair, TextSequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CrossEncodedChoices(Reader[ChoiceInput]):
    """Context and question with each choice, as one sequence each."""

    takes: ClassVar[tuple[type, ...]] = (ChoiceInput,)
    reads_pairs: ClassVar[bool] = True

    def sequences(self, each: ChoiceInput) -> tuple[TextSequence, ...]:
        """One for each choice, in order."""
        return tuple(TextPair(each.premise, choice) for choice in each.choices)


@dataclass(frozen=True, slots=True)
class BiEncodedChoices(Reader[ChoiceInput]):
    """Context and question, and choices, by themselves: choices that were seen before cost nothing."""

    takes: ClassVar[tuple[type, ...]] = (ChoiceInput,)

    def sequences(self, each: ChoiceInput) -> tuple[TextSequence, ...]:
        """Context and question as one, then each choice in order."""
        return each.premise, *each.choices

    def head_rows(self, read: Sequence[tuple[T, ...]]) -> list[tuple[T, ...]]:
        """One for each choice: context and question, and the choice."""
        return first_with_each_other(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceDecoder(InputDecoder):
    """The most probable choice. Ties go to the first."""

    options: ClassVar[tuple[str, ...]] = ("return_scores", "return_logits")

    temperature: float

    def answer(self, reading: Reading, options: AnswerOptions) -> ChoiceAnswer:
        """From logits of shape ``(num_choices, 1)``."""
        logits = reading.logits[:, 0]
        scores = softmax(logits, temperature=self.temperature).tolist()
        best = int(logits.argmax())
        answer = ChoiceAnswer(choice=reading.input.choices[best], index=best, score=scores[best])
        if options.return_scores:
            answer["scores"] = scores
        if options.return_logits:
            answer["logits"] = logits.tolist()
        return answer
