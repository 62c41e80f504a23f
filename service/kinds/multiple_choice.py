"""Multiple choice: which of any number of texts completes or answers another one."""

from dataclasses import dataclass
from typing import ClassVar

from service.inputs import ChoiceInput
from service.kinds.answers import ChoiceAnswer
from service.kinds.base import AnswerOptions, InputDecoder, Reader, Reading
from service.kinds.scores import softmax
from service.tokenization import TextPair, TextSequence


@dataclass(frozen=True, slots=True)
class PremiseWithChoices(Reader[ChoiceInput]):
    """Context and question with each choice, as one sequence each."""

    takes: ClassVar[tuple[type, ...]] = (ChoiceInput,)
    reads_pairs: ClassVar[bool] = True

    def sequences(self, each: ChoiceInput) -> tuple[TextSequence, ...]:
        """One for each choice, in order."""
        return tuple(TextPair(each.premise, choice) for choice in each.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceDecoder(InputDecoder):
    """The most probable choice. Ties go to the first."""

    options: ClassVar[tuple[str, ...]] = ("return_scores", "return_logits")

    temperature: float

    def answer(self, reading: Reading, options: AnswerOptions) -> ChoiceAnswer:
        """From one logit for each choice."""
        logits = reading.logits[:, 0]
        scores = softmax(logits, temperature=self.temperature).tolist()
        best = int(logits.argmax())
        answer = ChoiceAnswer(choice=reading.input.choices[best], index=best, score=scores[best])
        if options.return_scores:
            answer["scores"] = scores
        if options.return_logits:
            answer["logits"] = logits.tolist()
        return answer
