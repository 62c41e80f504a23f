"""Requests and responses of the Open Inference Protocol.

Parameters are free-form there, so unknown ones are left alone; those that would change the meaning of a
request, and that nothing here heeds, are refused.
"""

from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt
from pydantic_core import PydanticCustomError

from service.counting import FIRST_FAULT, MAX_NAMES

Datatype = Literal["BYTES", "FP32", "INT32", "BOOL"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


def _refuse(_value: Any) -> NoReturn:  # noqa: ANN401 - whatever the client sent
    raise PydanticCustomError("unsupported_parameter", "Not supported by this server. Leave it out.")


Refused = Annotated[None, BeforeValidator(_refuse)]


class InputParameters(_Parameters):
    """What may be said beside an input tensor."""

    binary_data_size: NonNegativeInt | None = Field(
        None, strict=True, description="Bytes of this tensor behind the JSON header, in place of data."
    )
    shared_memory_region: Refused = None


class InputTensor(_Model):
    """One field of all inputs: texts, or lists of as many texts each."""

    name: str = Field(description="A field of the input: text, text_pair, query, documents, …")
    shape: list[Annotated[NonNegativeInt, Field(strict=True)]] = Field(
        min_length=1,
        max_length=2,
        description="[inputs] or [inputs, 1] for a text each, [inputs, texts] for a list.",
    )
    datatype: Literal["BYTES"]
    parameters: InputParameters = InputParameters()
    data: Annotated[list[str | Annotated[list[str], FIRST_FAULT]], FIRST_FAULT] | None = Field(
        None, description="Texts in row-major order, flat or nested as the shape says."
    )


class OutputParameters(_Parameters):
    """What may be said beside an output that is asked for."""

    binary_data: bool | None = Field(
        None, strict=True, description="Whether it comes as bytes behind the JSON header."
    )
    classification: Refused = None
    shared_memory_region: Refused = None


class RequestedOutput(_Model):
    """An output to be sent."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(_Parameters):
    """What may be said of a whole request."""

    binary_data_output: bool = Field(
        False, strict=True, description="Whether outputs that do not say come as bytes."
    )
    timeout: NonNegativeInt = Field(
        0, strict=True, description="Microseconds this request may take; 0 leaves it to the header."
    )
    sequence_id: Refused = None


class InferRequest(_Model):
    """Body of ``POST /v2/models/{model}/infer``, or the header of a binary one."""

    id: str | None = Field(None, max_length=256, description="Given back in the response.")
    parameters: InferParameters = InferParameters()
    inputs: list[InputTensor] = Field(min_length=1, max_length=MAX_NAMES)
    outputs: list[RequestedOutput] | None = Field(
        None, min_length=1, max_length=MAX_NAMES, description="Left out: all outputs of the model."
    )


class OutputTensor(_Model):
    """One output for all inputs."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: dict[str, int] | None = Field(
        None, description="binary_data_size, where the bytes follow the header; then there is no data."
    )
    data: list[Any] | None = Field(None, description="Elements in row-major order.")


class InferResponse(_Model):
    """Answer of an inference; of a binary one, its header."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(_Model):
    """A tensor of a model."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 is any number; the first one is that of the inputs.")


class ModelMetadata(_Model):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(
        description="Of tasks that take several forms of input, all their fields: send those of one form."
    )
    outputs: list[TensorMetadata]


class ServerMetadata(_Model):
    """Who answers."""

    name: str
    version: str
    extensions: list[str]
