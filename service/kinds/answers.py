"""What each kind answers, as the HTTP API documents it.

Every answer has ``truncated: true`` if a sequence that it was read from lost tokens to the encoder's
``max_length``, and no such key if none did.
"""

from typing import Annotated, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on

Offset: TypeAlias = Annotated[
    int, Field(description="In Unicode code points of the given text; of tokens, joined by one space.")
]


class _Answer(TypedDict):
    truncated: NotRequired[
        Annotated[bool, Field(description="True if a text was longer than the encoder reads; else left out.")]
    ]


class LabelAnswer(_Answer):
    """What a classification answers, of a text or of a pair."""

    label: str
    score: Annotated[float, Field(description="Probability of the label.")]
    scores: NotRequired[
        Annotated[dict[str, float], Field(description="Of every label; of the best ones, with top_k.")]
    ]
    logits: NotRequired[Annotated[list[float], Field(description="In the order of the task's labels.")]]


class LabelsAnswer(_Answer):
    """What a multi-label classification answers: any number of labels, none too."""

    labels: Annotated[
        list[str], Field(description="Whose score reaches their threshold; the most probable first.")
    ]
    scores: NotRequired[
        Annotated[dict[str, float], Field(description="Of every label; of the best ones, with top_k.")]
    ]
    logits: NotRequired[Annotated[list[float], Field(description="In the order of the task's labels.")]]


class ValueAnswer(_Answer):
    """What a regression answers, of a text or of a pair."""

    value: float
    logits: NotRequired[list[float]]


class RankedDocument(TypedDict):
    """One document's place in a ranking."""

    index: Annotated[int, Field(description="In the given documents.")]
    score: Annotated[float, Field(description="Probability of being relevant.")]


class RankingAnswer(_Answer):
    """What a ranking answers: the documents in their new order."""

    ranking: Annotated[
        list[RankedDocument], Field(description="The most relevant first; the best ones, with top_k.")
    ]
    logits: NotRequired[Annotated[list[float], Field(description="In the order of the documents.")]]


class Entity(TypedDict):
    """A tagged span."""

    label: str
    text: Annotated[str, Field(description="Exactly text[start:end] of the given text.")]
    start: Offset
    end: Offset
    score: Annotated[float, Field(description="Mean over its words of the probability of their tags.")]


class EntitiesAnswer(_Answer):
    """What a tagging answers whose tags mark spans (``bio``, ``iob1``, ``iobes``)."""

    entities: list[Entity]
    logits: NotRequired[
        Annotated[
            list[list[float] | None],
            Field(description="For each word in the order of the task's labels; null where it was cut off."),
        ]
    ]


class TaggedToken(TypedDict):
    """A word and its tag."""

    text: str
    start: Offset
    end: Offset
    label: Annotated[str | None, Field(description="Null where the word was cut off, or has no token.")]
    score: float | None


class TokensAnswer(_Answer):
    """What a tagging answers that labels every word (``plain``)."""

    tokens: Annotated[list[TaggedToken], Field(description="The given tokens, or the words of the text.")]
    logits: NotRequired[
        Annotated[
            list[list[float] | None],
            Field(description="For each word in the order of the task's labels; null where it was cut off."),
        ]
    ]


class AnswerSpan(TypedDict):
    """A span of the context."""

    answer: Annotated[str, Field(description="Exactly context[start:end].")]
    start: Offset
    end: Offset
    score: Annotated[
        float, Field(description="Probability of the start times that of the end, over the whole context.")
    ]
    logits: NotRequired[
        Annotated[
            list[float],
            Field(description="Of the start and of the end, less those of its window's first token."),
        ]
    ]


class SpanAnswer(_Answer):
    """What question answering answers: a span of the context, or that there is none."""

    answer: Annotated[str, Field(description="Exactly context[start:end]; empty if there is no answer.")]
    start: Annotated[int | None, Field(description="In Unicode code points; null if there is no answer.")]
    end: Annotated[int | None, Field(description="In Unicode code points; null if there is no answer.")]
    score: Annotated[
        float,
        Field(
            description="Of a span, probability of its start times that of its end, over the whole context. "
            "Of no answer, the sigmoid of the logits by which it wins: at least 0.5."
        ),
    ]
    logits: NotRequired[
        Annotated[
            list[float],
            Field(description="Of the start and of the end, less those of its window's first token."),
        ]
    ]
    answers: NotRequired[
        Annotated[
            list[AnswerSpan], Field(description="With top_k: the best spans, also where there is no answer.")
        ]
    ]


class ChoiceAnswer(_Answer):
    """What a multiple choice answers: the most probable of the given choices."""

    choice: Annotated[str, Field(description="The text of the choice.")]
    index: Annotated[int, Field(description="In the given choices.")]
    score: Annotated[float, Field(description="Probability of the choice.")]
    scores: NotRequired[Annotated[list[float], Field(description="In the order of the choices.")]]
    logits: NotRequired[Annotated[list[float], Field(description="In the order of the choices.")]]


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
