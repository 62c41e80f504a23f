"""The YAML file's schema of heads and poolings."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EncoderPooling = Literal["cls", "mean", "max", "pooler"]
"""Poolings without parameters of a task, one vector a text: what ``/v1/embeddings`` can answer with."""
TaskPooling = Literal["cls", "mean", "max", "pooler", "attention", "layer_mix", "layer_mix_cls"]
"""And those that a task learns: over its token states, and over the layers' means or first tokens."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
Widths = tuple[Annotated[int, Field(gt=0)], ...]
Parameters = dict[str, Any]


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)


class LinearHeadConfig(_Head):
    """``logits = W·[1; features]``."""

    type: Literal["linear"] = "linear"
    dropout: Dropout = 0.1


class MlpHeadConfig(_Head):
    """Linear layers with ReLU between them."""

    type: Literal["mlp"]
    hidden: Widths = Field(min_length=1)
    dropout: Dropout = 0.1


class SubEncoderHeadConfig(_Head):
    """The task's own transformer layers over the token states, then pooling and linear layers."""

    type: Literal["sub_encoder"]
    layers: int = Field(default=1, gt=0)
    num_heads: int | None = Field(default=None, gt=0)
    """Of the attention; the encoder's number unless given."""
    intermediate_size: int | None = Field(default=None, gt=0)
    """Of the feed-forward blocks; four times the hidden size unless given."""
    hidden: Widths = ()
    """Of an MLP behind the pooling."""
    dropout: Dropout = 0.1


class HfHeadConfig(_Head):
    """The head of a transformers class."""

    type: Literal["hf"]
    class_name: str = Field(alias="class", min_length=1)
    """``AutoModelFor…``, or a class of the encoder's family."""
    parameters: Parameters = {}
    """Values of its configuration, such as ``classifier_dropout``."""


class CustomHeadConfig(_Head):
    """A user's ``torch.nn.Module``."""

    type: Literal["custom"]
    class_name: str = Field(alias="class", min_length=1)
    """``package.module:Class``, importable from where training and export are started."""
    parameters: Parameters = {}
    """Keywords of its constructor, beside ``hidden_size`` and ``num_outputs``."""


HeadConfig = Annotated[
    LinearHeadConfig | MlpHeadConfig | SubEncoderHeadConfig | HfHeadConfig | CustomHeadConfig,
    Field(discriminator="type"),
]

HEADS: Mapping[str, type[BaseModel]] = {
    "linear": LinearHeadConfig,
    "mlp": MlpHeadConfig,
    "sub_encoder": SubEncoderHeadConfig,
    "hf": HfHeadConfig,
    "custom": CustomHeadConfig,
}
"""By ``type``."""
