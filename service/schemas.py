"""Request and response models of the HTTP API.

Unknown fields are refused: a typo must not become a silent default.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from export.manifest import TaskEntry


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextInput(_Model):
    """A text, or a pair of texts."""

    text: str
    text_pair: str | None = Field(None, description="Second text, for tasks on pairs.")


def _as_object(value: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    return {"text": value} if isinstance(value, str) else value


InputItem = Annotated[TextInput, BeforeValidator(_as_object, json_schema_input_type=str | TextInput)]
"""A plain string stands for ``{"text": …}``."""

Inputs = Annotated[list[InputItem], Field(min_length=1)]


class PredictRequest(_Model):
    """Body of ``POST /v1/predict``."""

    inputs: Inputs
    tasks: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Names of tasks. Left out: every task that fits the input."
    )


class TaskPredictRequest(_Model):
    """Body of ``POST /v1/tasks/{task}/predict``."""

    inputs: Inputs


class LabelAnswer(_Model):
    """Answer of a classification."""

    label: str
    score: float = Field(description="Probability of the label.")
    scores: dict[str, float] = Field(description="Probability of every label.")


class ValueAnswer(_Model):
    """Answer of a regression."""

    value: float


TaskAnswer = LabelAnswer | ValueAnswer


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
    predictions: list[dict[str, TaskAnswer]] = Field(description="One for each input, by task.")
    usage: Usage


class TaskPredictResponse(_Model):
    """Answer of ``POST /v1/tasks/{task}/predict``."""

    model: str
    version: str
    predictions: list[TaskAnswer] = Field(description="One for each input.")
    usage: Usage


class TaskInfo(_Model):
    """What a task takes and answers."""

    name: str
    kind: str
    input_fields: list[str]
    pair: str | None = Field(None, description="How two texts meet the encoder.")
    labels: list[str] | None = None
    range: tuple[float, float] | None = Field(None, description="Bounds of a value.")
    metrics: dict[str, float] = Field(description="On the task's dev set, by the field's names.")
    head: str = Field(description="Architecture of the head.")
    pooling: str
    model: str
    version: str

    @classmethod
    def of(cls, name: str, task: TaskEntry, *, model: str, version: str) -> "TaskInfo":
        """Describe a manifest's task."""
        return cls(
            name=name,
            kind=task.kind.value,
            input_fields=list(task.input_fields),
            pair=None if task.pair is None else task.pair.value,
            labels=None if task.labels is None else list(task.labels),
            range=task.range,
            metrics=task.metrics,
            head=task.head.architecture,
            pooling=task.pooling.value,
            model=model,
            version=version,
        )


class TaskList(_Model):
    """Answer of ``GET /v1/tasks``."""

    model: str
    version: str
    encoder: str
    tasks: list[TaskInfo]


class EmbeddingsRequest(_Model):
    """Body of ``POST /v1/embeddings``, as OpenAI's API has it."""

    input: str | Annotated[list[str], Field(min_length=1)]
    model: str | None = Field(None, description="Ignored: one bundle is served. The answer names it.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: None = Field(None, description="Not supported: the encoder's vectors cannot be shortened.")
    user: str | None = Field(None, description="Ignored.")


class EmbeddingItem(_Model):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Unit length; base64 of little-endian float32 if asked.")


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


class Status(_Model):
    """Answer of the health routes."""

    status: Literal["live", "ready"]


class ProblemField(_Model):
    """One fault of a request."""

    field: str = Field(description="Path in the body, such as inputs.3.text.")
    message: str


class Problem(_Model):
    """Any error, as RFC 9457 has it (application/problem+json)."""

    type: str = Field(description="Stable name of the kind of error.")
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field([], description="Every fault of the request, by field.")
    request_id: str = Field(description="Also in the x-request-id header and in the server's log.")
