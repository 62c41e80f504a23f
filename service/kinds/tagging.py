"""Token tagging: spans with character offsets, or a label for every word."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from service.errors import RequestTooLarge
from service.inputs import TokensInput
from service.kinds.answers import EntitiesAnswer, Entity, TaggedToken, TokensAnswer
from service.kinds.base import AnswerOptions, InputDecoder, Reader, Reading, Readings
from service.kinds.entities import OUTSIDE, decode_tags
from service.kinds.scores import softmax
from service.kinds.words import Span, first_tokens, split_words, token_words
from service.tokenization import TextSequence

MAX_WORDS = 100_000
"""That the answers to a request tell of. Each is an object of some sixty bytes in the response, which is
written on the event loop."""


@dataclass(frozen=True, slots=True)
class TaggedText(Reader[str | TokensInput]):
    """The text, or the given tokens joined by one space: the sequence that every task on this text reads."""

    takes: ClassVar[tuple[type, ...]] = (str, TokensInput)
    needs_offsets: ClassVar[bool] = True

    def sequences(self, each: str | TokensInput) -> tuple[TextSequence, ...]:
        """The text, as a single sequence."""
        return (_text_of(each),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedWords:
    """A text's words with what the head says of each."""

    text: str
    spans: Sequence[Span]
    labels: Sequence[str | None]
    """None for a word without a token: cut off, or dropped by the tokenizer."""
    scores: Sequence[float | None]
    """Of each word its label's probability; None where the label is."""
    logits: Sequence[list[float] | None]
    """Of each word the logits of its first token, one for each label; None where the label is."""


class _WordDecoder(InputDecoder):
    """May tell something of every word, of those, too, that the encoder does not read."""

    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[EntitiesAnswer | TokensAnswer]:
        """One answer for each input, one after the other.

        Raises:
            RequestTooLarge: If they tell of more words than fit one response.
        """
        answers = []
        words = 0
        for reading in readings.by_input():
            answer = self.answer(reading, options)
            told: Any = answer
            words += max(len(told.get("tokens", ())), len(told.get("logits", ())))
            if words > MAX_WORDS:
                raise RequestTooLarge(
                    f"The answer would tell of {words} words or more; at most {MAX_WORDS}. Split the request."
                )
            answers.append(answer)
        return answers

    @abstractmethod
    def answer(self, reading: Reading, options: AnswerOptions) -> EntitiesAnswer | TokensAnswer:
        """The answer for one input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityDecoder(_WordDecoder):
    """Spans of the words whose tags mark them. A word without a token is outside of all."""

    options: ClassVar[tuple[str, ...]] = ("return_logits",)

    labels: tuple[str, ...]
    temperature: float

    def answer(self, reading: Reading, options: AnswerOptions) -> EntitiesAnswer:
        """From logits of shape ``(num_tokens, num_labels)``."""
        words = tag_words(reading, self.labels, self.temperature)
        entities = []
        for span in decode_tags([label or OUTSIDE for label in words.labels]):
            start, end = words.spans[span.first][0], words.spans[span.last][1]
            scores = [score for score in words.scores[span.first : span.last + 1] if score is not None]
            entities.append(
                Entity(
                    label=span.label,
                    text=words.text[start:end],
                    start=start,
                    end=end,
                    score=sum(scores) / len(scores),
                )
            )
        answer = EntitiesAnswer(entities=entities)
        if options.return_logits:
            answer["logits"] = list(words.logits)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLabelDecoder(_WordDecoder):
    """A label for every word."""

    options: ClassVar[tuple[str, ...]] = ("return_logits",)

    labels: tuple[str, ...]
    temperature: float

    def answer(self, reading: Reading, options: AnswerOptions) -> TokensAnswer:
        """From logits of shape ``(num_tokens, num_labels)``."""
        words = tag_words(reading, self.labels, self.temperature)
        answer = TokensAnswer(
            tokens=[
                TaggedToken(text=words.text[start:end], start=start, end=end, label=label, score=score)
                for (start, end), label, score in zip(words.spans, words.labels, words.scores, strict=True)
            ]
        )
        if options.return_logits:
            answer["logits"] = list(words.logits)
        return answer


def tag_words(reading: Reading, labels: Sequence[str], temperature: float) -> TaggedWords:
    """Give every word the most probable label of its first token."""
    given: str | TokensInput = reading.input
    text = _text_of(given)
    spans = token_words(given.tokens) if isinstance(given, TokensInput) else split_words(text)
    (tokens,) = reading.tokens
    assert tokens.offsets is not None, "the reader asks for them"  # noqa: S101
    places = first_tokens(spans, text, tokens.offsets)
    scores: NDArray[np.float64] = softmax(reading.logits, temperature=temperature)
    best = reading.logits.argmax(axis=1).tolist()
    return TaggedWords(
        text=text,
        spans=spans,
        labels=[None if place is None else labels[best[place]] for place in places],
        scores=[None if place is None else float(scores[place, best[place]]) for place in places],
        logits=[None if place is None else reading.logits[place].tolist() for place in places],
    )


def _text_of(given: str | TokensInput) -> str:
    return given if isinstance(given, str) else given.text
