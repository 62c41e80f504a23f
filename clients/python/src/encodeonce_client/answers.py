"""Answers of tasks, told apart by their fields. Fields that a newer service adds are left out.

Scores are probabilities. ``scores`` is None with ``return_scores=False``, and ``logits`` is None without
``return_logits``. ``start`` and ``end`` count Unicode code points, as Python's strings do. ``truncated`` says
whether the text was longer than the encoder reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAnswer:
    """What a classification answers, of a text or of a pair."""

    label: str
    score: float
    """Probability of the label."""
    scores: Mapping[str, float] | None = None
    logits: tuple[float, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsAnswer:
    """What a multi-label classification answers: any number of labels, none too."""

    labels: tuple[str, ...]
    """The most probable first."""
    scores: Mapping[str, float] | None = None
    logits: tuple[float, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAnswer:
    """What a regression answers, of a text or of a pair."""

    value: float
    logits: tuple[float, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedDocument:
    """One document's place in a ranking."""

    index: int
    """In the given documents."""
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingAnswer:
    """What a ranking answers: the documents in their new order."""

    ranking: tuple[RankedDocument, ...]
    """The most relevant first."""
    logits: tuple[float, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A tagged span: ``text[start:end]`` of the given text."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitiesAnswer:
    """What a tagging answers whose tags mark spans."""

    entities: tuple[Entity, ...]
    logits: tuple[Any, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedToken:
    """A word and its tag; None where it was cut off."""

    text: str
    start: int
    end: int
    label: str | None
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensAnswer:
    """What a tagging answers that labels every word."""

    tokens: tuple[TaggedToken, ...]
    logits: tuple[Any, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSpan:
    """A span of the context."""

    answer: str
    start: int
    end: int
    score: float
    logits: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanAnswer:
    """What question answering answers. Without an answer, ``answer`` is empty and the offsets are None."""

    answer: str
    start: int | None
    end: int | None
    score: float
    answers: tuple[AnswerSpan, ...] | None = None
    """The best spans, with ``top_k``."""
    logits: tuple[float, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceAnswer:
    """What a multiple choice answers: the most probable of the given choices."""

    choice: str
    index: int
    """In the given choices."""
    score: float
    scores: tuple[float, ...] | None = None
    logits: tuple[float, ...] | None = None
    truncated: bool = False


Answer: TypeAlias = (
    LabelAnswer
    | LabelsAnswer
    | ValueAnswer
    | RankingAnswer
    | EntitiesAnswer
    | TokensAnswer
    | SpanAnswer
    | ChoiceAnswer
)

KINDS: Mapping[str, type[Answer]] = {
    "label": LabelAnswer,
    "labels": LabelsAnswer,
    "value": ValueAnswer,
    "ranking": RankingAnswer,
    "entities": EntitiesAnswer,
    "tokens": TokensAnswer,
    "answer": SpanAnswer,
    "choice": ChoiceAnswer,
}
"""The field that only answers of a kind have."""


def decode_answer(raw: Mapping[str, Any]) -> Answer:
    """An answer of any kind.

    Raises:
        ValueError: If it is of none that this client knows.
    """
    for field, kind in KINDS.items():
        if field in raw:
            return decode(kind, raw)
    raise ValueError(f"Expected an answer with one of {', '.join(KINDS)}; found {', '.join(raw)}.")


def decode(kind: type[T], raw: Mapping[str, Any]) -> T:
    """A dataclass from the fields that it knows. Lists become tuples."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type] # all of them are dataclasses
    return kind(**{name: _decode_field(name, value) for name, value in raw.items() if name in known})


def _decode_field(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    return PARTS[name](value) if name in PARTS and isinstance(value, list) else _as_tuple(value)


def _as_tuple(value: Any) -> Any:  # noqa: ANN401 - JSON
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _each(kind: type[T]) -> Callable[[list[Mapping[str, Any]]], tuple[T, ...]]:
    return lambda values: tuple(decode(kind, value) for value in values)


PARTS: Mapping[str, Callable[[Any], Any]] = {
    "ranking": _each(RankedDocument),
    "entities": _each(Entity),
    "tokens": _each(TaggedToken),
    "answers": _each(AnswerSpan),
}
"""Fields that hold objects."""
