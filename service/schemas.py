"""Request and response models of the HTTP API.

Unknown fields are refused: a typo must not become a silent default.
"""

from operator import attrgetter
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetPydanticSchema,
    Tag,
    TypeAdapter,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from export.manifest import SpanSearch
from service.counting import COUNTED, MAX_NAMES
from service.errors import MAX_FAULTS
from service.inputs import (
    FIELDS,
    ChoiceInput,
    PairInput,
    QuestionInput,
    RankingInput,
    TaskInput,
    TokensInput,
)
from service.kinds.answers import Answer
from service.kinds.base import MAX_TOP_K, AnswerOptions, Kind
from service.kinds.question_answering import MAX_SPANS


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextInput(_Model):
    """A text. A plain string stands for it; the engine sees that string."""

    text: str


TextOfObject = Annotated[
    str,
    GetPydanticSchema(
        lambda _source, handler: no_info_after_validator_function(attrgetter("text"), handler(TextInput))
    ),
]


_FORM_OF_FIELDS = {frozenset(names): form.__name__ for form, sets in FIELDS.items() for names in sets}
_STRING = "string"
FORM_TAGS = frozenset({_STRING, *_FORM_OF_FIELDS.values()})
"""What tells the forms of input apart in the path of a validation error."""


def _tag_of(value: Any) -> str | None:  # noqa: ANN401 - whatever the client sent
    if isinstance(value, str):
        return _STRING
    return _FORM_OF_FIELDS.get(frozenset(value)) if isinstance(value, dict) else None


InputItem = Annotated[
    Annotated[str, Tag(_STRING)]
    | Annotated[TextOfObject, Tag(str.__name__)]
    | Annotated[PairInput, Tag(PairInput.__name__)]
    | Annotated[RankingInput, Tag(RankingInput.__name__)]
    | Annotated[QuestionInput, Tag(QuestionInput.__name__)]
    | Annotated[ChoiceInput, Tag(ChoiceInput.__name__)]
    | Annotated[TokensInput, Tag(TokensInput.__name__)],
    Discriminator(_tag_of),
]
"""One form, told by its fields. Becomes a ``TaskInput``."""

Inputs = Annotated[list[InputItem], Field(min_length=1), COUNTED]

_INPUT: TypeAdapter[TaskInput] = TypeAdapter(InputItem)


def parse_input(value: dict[str, Any]) -> TaskInput:
    """One input, as a request has it.

    Raises:
        pydantic.ValidationError: If it has none of the forms.
    """
    return _INPUT.validate_python(value)


TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K)]


class _Options(_Model):
    top_k: TopK | None = Field(
        None,
        strict=True,
        description="The best so many alone: labels and their scores, ranked documents, answer spans "
        f"(of these {MAX_SPANS} at most).",
    )
    return_scores: bool = Field(
        True, strict=True, description="False leaves out scores, the table of all labels or choices."
    )
    return_logits: bool = Field(
        False, strict=True, description="Adds logits, as the head gave them: before temperature and softmax."
    )

    def options(self) -> AnswerOptions:
        """The options by themselves, for the engine."""
        return AnswerOptions(
            top_k=self.top_k, return_scores=self.return_scores, return_logits=self.return_logits
        )


class PredictRequest(_Options):
    """Body of ``POST /v1/predict``."""

    inputs: Inputs
    tasks: Annotated[list[str], Field(min_length=1, max_length=MAX_NAMES)] | None = Field(
        None, description="Names of tasks. Left out: every task that fits the input."
    )


class TaskPredictRequest(_Options):
    """Body of ``POST /v1/tasks/{task}/predict``."""

    inputs: Inputs


class Usage(_Model):
    """What the request cost. Rows, hits and coalesced add up to the request's sequences."""

    tokens: int = Field(description="Tokens of all sequences, found or computed.")
    encoder_rows: int = Field(description="Sequences that the encoder computed for this request.")
    cache_hits: int
    coalesced: int = Field(description="Sequences that were already on their way.")


class PredictResponse(_Model):
    """Answer of ``POST /v1/predict``."""

    model: str
    version: str
    predictions: list[dict[str, Answer]] = Field(description="One for each input, by task.")
    usage: Usage


class TaskPredictResponse(_Model):
    """Answer of ``POST /v1/tasks/{task}/predict``."""

    model: str
    version: str
    predictions: list[Answer] = Field(description="One for each input.")
    usage: Usage


class TaskInfo(_Model):
    """What a task takes and answers."""

    name: str
    kind: str
    input_fields: list[str]
    inputs: list[list[str]] = Field(description="Every set of fields that makes an input of this task.")
    options: list[str] = Field(description="Of a request, those that change this task's answers.")
    pair: str | None = Field(None, description="How two texts meet the encoder.")
    labels: list[str] | None = Field(None, description="In the order of the logits; of tagging, the tags.")
    range: tuple[float, float] | None = Field(None, description="Bounds of a value.")
    temperature: float = Field(description="Logits are divided by it before they become probabilities.")
    thresholds: dict[str, float] | None = Field(
        None, description="Of several labels at once: the score from which each is given."
    )
    scheme: str | None = Field(None, description="Of tagging: how tags mark spans.")
    spans: SpanSearch | None = Field(None, description="Of question answering: how an answer is looked for.")
    metrics: dict[str, float] = Field(description="On the task's dev set, by the field's names.")
    head: str = Field(description="Architecture of the head.")
    pooling: str | None = Field(None, description="Of the encoder; none for a head over token states.")
    model: str
    version: str

    @classmethod
    def of(cls, name: str, kind: Kind, *, model: str, version: str) -> "TaskInfo":
        """Describe a task as it is served."""
        task = kind.entry
        return cls(
            name=name,
            kind=task.kind,
            input_fields=list(task.input_fields),
            inputs=[list(fields) for form in kind.reader.takes for fields in FIELDS[form]],
            options=list(kind.decoder.options),
            pair=task.pair,
            labels=None if task.labels is None else list(task.labels),
            range=task.range,
            temperature=task.temperature,
            thresholds=(
                None
                if task.thresholds is None
                else dict(zip(task.labels or (), task.thresholds, strict=True))
            ),
            scheme=task.scheme,
            spans=task.spans,
            metrics=task.metrics,
            head=task.head.architecture,
            pooling=task.pooling,
            model=model,
            version=version,
        )


class TaskList(_Model):
    """Answer of ``GET /v1/tasks``."""

    model: str
    version: str
    encoder: str
    tasks: list[TaskInfo]


def _refuse_token_ids(value: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    if isinstance(value, list) and value and all(isinstance(each, int | list) for each in value):
        raise PydanticCustomError(
            "token_ids",
            "Token ids are not taken, as every model has its own. Send text: a string or strings.",
        )
    return value


def _refuse_dimensions(_value: Any) -> NoReturn:  # noqa: ANN401 - whatever the client sent
    raise PydanticCustomError(
        "dimensions", "Not supported: the encoder's vectors cannot be shortened. Leave dimensions out."
    )


class EmbeddingsRequest(_Model):
    """Body of ``POST /v1/embeddings``, as OpenAI's API has it."""

    input: Annotated[
        str | Annotated[list[str], Field(min_length=1)],
        BeforeValidator(_refuse_token_ids, json_schema_input_type=str | list[str]),
        COUNTED,
    ]
    model: str | None = Field(
        None,
        pattern="^[^@]+(@[^@]+)?$",
        description="The model that should answer, or an id of /v1/models: name@version. 404 if it is not "
        "loaded: another model's vectors are not comparable. By default the service's own.",
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int | None, BeforeValidator(_refuse_dimensions)] = Field(
        None, description="Not supported: the encoder's vectors cannot be shortened."
    )
    user: str | None = Field(None, description="Ignored.")


class EmbeddingItem(_Model):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Unit length; base64 of little-endian float32 if asked.")
    truncated: bool = Field(
        False, description="True if the text was longer than the encoder reads; else left out."
    )


class EmbeddingsUsage(_Model):
    """Tokens, by OpenAI's names."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(_Model):
    """Answer of ``POST /v1/embeddings``."""

    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingsUsage


class ModelEntry(_Model):
    """One loaded version, as OpenAI's API describes a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When it was exported, in seconds since 1970.")
    owned_by: Literal["encodeonce"] = "encodeonce"
    name: str
    version: str
    is_default: bool = Field(description="Whether it answers requests for this name that pin no version.")


class ModelList(_Model):
    """Answer of ``GET /v1/models``."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class Status(_Model):
    """Answer of the health routes."""

    status: Literal["live", "ready"]


class ProblemField(_Model):
    """One fault of a request."""

    field: str = Field(description="Path in the body, such as inputs.3.text.")
    message: str


class OpenAiError(_Model):
    """What OpenAI's clients show of an error."""

    message: str = Field(description="Detail and errors in one string.")
    type: Literal["invalid_request_error", "server_error"]
    code: str = Field(description="The last part of the problem's type, such as unknown-model.")


class Problem(_Model):
    """Any error, as RFC 9457 has it (application/problem+json)."""

    type: str = Field(description="Stable name of the kind of error.")
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(
        [], max_length=MAX_FAULTS, description="Every fault of the request, by field; the first ones of many."
    )
    request_id: str = Field(description="Also in the x-request-id header and in the server's log.")
    error: str | OpenAiError | None = Field(
        None,
        description="Of /v2 and /tei: detail and errors in one string. Of /v1/embeddings: as OpenAI has it.",
    )
    error_type: str | None = Field(None, description="Of /tei alone: overloaded, unhealthy, validation, …")
