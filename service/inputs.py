"""What a task can be asked about: one form for each set of fields that the HTTP API takes.

A text is a plain ``str``, without anything around it: it is by far the most frequent input. An input has
exactly one form. Tasks of several forms are asked with several inputs of one request, which costs nothing:
equal texts share their encoding whichever inputs they come from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field

from service.counting import COUNTED, FIRST_FAULT

Texts: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairInput:
    """Two texts to be judged together."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    text: str
    text_pair: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingInput:
    """A query, and the documents to be ranked for it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    query: str
    documents: Annotated[Texts, Field(min_length=1), FIRST_FAULT, COUNTED]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionInput:
    """A question, and the context that may hold its answer; of any length, up to the limit on characters."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    question: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceInput:
    """Choices, and what they complete or answer: a context, a question, or both."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    choices: Annotated[Texts, Field(min_length=2), FIRST_FAULT, COUNTED]
    context: str | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        if self.context is None and self.question is None:
            raise ValueError("choices need a context, a question or both")

    @property
    def premise(self) -> str:
        """Context and question, those there are, in this order."""
        return " ".join(part for part in (self.context, self.question) if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensInput:
    """A text that was split into tokens (words) before."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    tokens: Annotated[Texts, Field(min_length=1), FIRST_FAULT]

    @property
    def text(self) -> str:
        """The tokens, joined by one space: what offsets in the answers refer to."""
        return " ".join(self.tokens)


TaskInput: TypeAlias = str | PairInput | RankingInput | QuestionInput | ChoiceInput | TokensInput

FIELDS: Mapping[type, tuple[tuple[str, ...], ...]] = {
    str: (("text",),),
    PairInput: (("text", "text_pair"),),
    RankingInput: (("query", "documents"),),
    QuestionInput: (("question", "context"),),
    ChoiceInput: (("context", "choices"), ("question", "choices"), ("context", "question", "choices")),
    TokensInput: (("tokens",),),
}
"""Every form, and the sets of fields that make an input of it."""


def describe_form(form: type) -> str:
    """Its fields in words."""
    if form is ChoiceInput:
        return "choices with context, question or both"
    (names,) = FIELDS[form]
    return " and ".join(names)


MAX_UNKNOWN_FIELDS = 10
"""Of one input, those that are named."""


def explain_misfit(value: object) -> list[tuple[str, str]]:
    """Why something is no input of any form: its fields, or ``""`` for the whole, with a sentence each."""
    forms = "; ".join(map(describe_form, FIELDS))
    if not isinstance(value, dict):
        return [("", f"Expected a string, or an object with {forms}.")]
    known = {name for sets in FIELDS.values() for names in sets for name in names}
    if unknown := [str(name) for name in value if name not in known]:
        told = [(name, f"Unknown field. An input has {forms}.") for name in unknown[:MAX_UNKNOWN_FIELDS]]
        more = len(unknown) - len(told)
        return [*told, ("", f"And {more} more unknown fields.")] if more else told
    found = " and ".join(map(str, value)) or "no field"
    return [
        ("", f"The input has {found}. Expected one of: {forms}. For several of them, send several inputs.")
    ]


def count_sequences(each: TaskInput) -> int:
    """What an input counts for, against the limit on inputs: every document and every choice is one."""
    if isinstance(each, RankingInput):
        return len(each.documents)
    if isinstance(each, ChoiceInput):
        return len(each.choices)
    return 1


def named_texts(each: TaskInput) -> Iterator[tuple[str, str]]:
    """Every text of an input with its path: ``("documents.3", "…")``."""
    if isinstance(each, str):
        yield "text", each
        return
    for field in fields(each):
        value = getattr(each, field.name)
        if isinstance(value, str):
            yield field.name, value
        elif value is not None:
            yield from ((f"{field.name}.{place}", text) for place, text in enumerate(value))
    if isinstance(each, TokensInput):
        yield "tokens", each.text
