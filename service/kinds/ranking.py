"""Relevance ranking: a query and its documents, cross-encoded or bi-encoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from service.inputs import RankingInput
from service.kinds.answers import RankedDocument, RankingAnswer
from service.kinds.base import AnswerOptions, InputDecoder, Reader, Reading
from service.kinds.scores import sigmoid
from service.kinds.texts import first_with_each_other
from service.tokenization import TextPair, TextSequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CrossEncodedDocuments(Reader[RankingInput]):
    """The query with each document, as one sequence each."""

    takes: ClassVar[tuple[type, ...]] = (RankingInput,)
    reads_pairs: ClassVar[bool] = True

    def sequences(self, each: RankingInput) -> tuple[TextSequence, ...]:
        """One for each document, in order."""
        return tuple(TextPair(each.query, document) for document in each.documents)


@dataclass(frozen=True, slots=True)
class BiEncodedDocuments(Reader[RankingInput]):
    """Query and documents by themselves: another query on the same documents costs one encoder row."""

    takes: ClassVar[tuple[type, ...]] = (RankingInput,)

    def sequences(self, each: RankingInput) -> tuple[TextSequence, ...]:
        """The query, then each document in order."""
        return each.query, *each.documents

    def head_rows(self, read: Sequence[tuple[T, ...]]) -> list[tuple[T, ...]]:
        """One for each document: query and document."""
        return first_with_each_other(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingDecoder(InputDecoder):
    """Documents by descending relevance. Ties keep the given order."""

    options: ClassVar[tuple[str, ...]] = ("top_k", "return_logits")

    temperature: float

    def answer(self, reading: Reading, options: AnswerOptions) -> RankingAnswer:
        """From logits of shape ``(num_documents, 1)``."""
        logits = reading.logits[:, 0]
        scores = sigmoid(logits, temperature=self.temperature).tolist()
        # By logit: far out, the sigmoid is 1 for all.
        order = np.argsort(-logits, kind="stable").tolist()
        answer = RankingAnswer(
            ranking=[RankedDocument(index=index, score=scores[index]) for index in order[: options.top_k]]
        )
        if options.return_logits:
            answer["logits"] = logits.tolist()
        return answer
