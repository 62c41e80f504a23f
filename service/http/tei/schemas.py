"""Requests and responses, as text-embeddings-inference has them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from service.counting import COUNTED
from service.inputs import PairInput, TaskInput


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _say(message: str) -> WrapValidator:
    """One sentence in place of what each member of a union has against the value."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - a client's value
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("inputs", message) from None

    return WrapValidator(validate)


TextOrPair = Annotated[list[str], Field(min_length=1, max_length=2)]
PredictInputs = Annotated[
    str | TextOrPair | Annotated[list[TextOrPair], Field(min_length=1), COUNTED],
    _say("Expected a text, a pair [text, text_pair], or a batch of them [[text], [text, text_pair], …]."),
]
Texts = Annotated[
    str | Annotated[list[str], Field(min_length=1), COUNTED], _say("Expected a text, or a list of texts.")
]


class _Request(_Model):
    truncate: bool | None = Field(
        None, strict=True, description="false refuses a text that is longer than the encoder reads."
    )
    truncation_direction: Literal["Right", "right"] = "Right"


class TeiPredictRequest(_Request):
    """Body of ``POST /tei/predict``."""

    inputs: PredictInputs
    raw_scores: bool = Field(False, strict=True, description="Logits in place of probabilities.")

    @property
    def is_batch(self) -> bool:
        """Whether the answer is a list for each input: two strings in one list are a pair, not a batch."""
        return isinstance(self.inputs, list) and isinstance(self.inputs[0], list)

    def to_inputs(self) -> list[TaskInput]:
        """The inputs as texts and pairs, whichever way they were given."""
        if isinstance(self.inputs, str):
            return [self.inputs]
        batch = [each for each in self.inputs if isinstance(each, list)]
        return [_text_or_pair(each) for each in batch] if batch else [_text_or_pair(self.inputs)]

    def place(self, number: int, within: Sequence[str]) -> str:
        """Where a part of an input stands in this body."""
        if isinstance(self.inputs, str):
            return "inputs"
        sides = [SIDES[each] for each in within]
        return ".".join(["inputs", *([str(number)] if self.is_batch else []), *sides])


SIDES = {"text": "0", "text_pair": "1"}
"""Fields of an input → places of a pair."""


def _text_or_pair(texts: list[Any]) -> TaskInput:
    first, *second = texts
    return PairInput(text=first, text_pair=second[0]) if second else first


class TeiPrediction(_Model):
    """A label and its score."""

    score: float
    label: str


class TeiRerankRequest(_Request):
    """Body of ``POST /tei/rerank``."""

    query: str
    texts: Annotated[list[str], Field(min_length=1), COUNTED]
    raw_scores: bool = Field(False, strict=True, description="Logits in place of probabilities.")
    return_text: bool = Field(False, strict=True)

    def place(self, _: int, within: Sequence[str]) -> str:
        """Where a part of the only input stands in this body."""
        match within:
            case ["query"]:
                return "query"
            case ["documents", index]:
                return f"texts.{index}"
        return "texts"


class TeiRank(_Model):
    """A text's place in a ranking."""

    index: int = Field(description="In the given texts.")
    text: str | None = Field(None, description="With return_text; else left out.")
    score: float


class TeiEmbedAllRequest(_Request):
    """Body of ``POST /tei/embed_all``."""

    inputs: Texts

    @property
    def texts(self) -> list[str]:
        """The texts as a list, also where one was given by itself."""
        return [self.inputs] if isinstance(self.inputs, str) else self.inputs

    def place(self, number: int, _: Sequence[str]) -> str:
        """Where a text stands in this body."""
        return "inputs" if isinstance(self.inputs, str) else f"inputs.{number}"


class TeiEmbedRequest(TeiEmbedAllRequest):
    """Body of ``POST /tei/embed``."""

    normalize: bool = Field(True, strict=True, description="Whether vectors have unit length.")


class TeiInfo(_Model):
    """What is served, by TEI's names."""

    model_id: str
    model_sha: str | None = Field(None, description="The bundle's version.")
    model_dtype: str
    model_type: dict[str, dict[str, Any]] = Field(description="The encoder's vectors.")
    max_concurrent_requests: int = Field(description="Beyond, requests are 429.")
    max_input_length: int
    max_batch_tokens: int
    max_client_batch_size: int
    auto_truncate: bool
    version: str
    tasks: dict[str, list[str]] = Field(description="Names that task takes, by route.")
