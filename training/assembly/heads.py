"""A task's section of the YAML file → its untrained head."""

from collections.abc import Mapping

from torch import nn

from training.config.heads import (
    CustomHeadConfig,
    HfHeadConfig,
    LinearHeadConfig,
    MlpHeadConfig,
    SubEncoderHeadConfig,
)
from training.config.schema import Config
from training.config.tasks import TaskConfig
from training.encoding import Encoder
from training.errors import ConfigError
from training.heads import (
    DEFAULT_COMBINE,
    BiEncoderHead,
    LayerMix,
    PooledHead,
    ScaledSigmoid,
    SegmentHead,
    SubEncodedTokenHead,
    SubEncoder,
    TokenHead,
    build_body,
    combined_size,
)
from training.heads.base import PAIR, POOLED
from training.heads.checks import check_logits
from training.heads.custom import build_custom_head
from training.heads.hf import HfBody
from training.heads.poolings import LAYER_MIXES, SEGMENT_POOLINGS, build_segment_pooling
from training.kinds.base import Kind
from training.model import HeadSpec
from training.pooling import LAYERED
from training.sharing import SharingLayer
from training.tasks import Task

FEED_FORWARD_FACTOR = 4
"""Width of a feed-forward block over the hidden size, as in Vaswani et al. 2017 and BERT."""

BodyConfig = LinearHeadConfig | MlpHeadConfig | SubEncoderHeadConfig | HfHeadConfig


def build_heads(
    config: Config, tasks: Mapping[str, Task], encoder: Encoder, sharing: SharingLayer | None = None
) -> dict[str, HeadSpec]:
    """Every task's head.

    Args:
        config: The run's.
        tasks: By name.
        encoder: What they stand on.
        sharing: What stands between, for the tasks that share.

    Raises:
        ConfigError: Naming every head that does not fit its kind or the encoder.
    """
    heads, faults = {}, []
    for name, task_config in config.tasks.items():
        try:
            heads[name] = build_head(
                task_config,
                tasks[name].kind,
                encoder,
                max_length=config.encoder.max_length,
                default_pooling=config.encoder.pooling,
                width=sharing.out_features(name) if sharing is not None and name in sharing.tasks else None,
            )
        except ValueError as error:
            faults.append(f"tasks.{name}.head: {error}")
    if faults:
        raise ConfigError(config.name, faults)
    return heads


def build_head(
    config: TaskConfig,
    kind: Kind,
    encoder: Encoder,
    *,
    max_length: int,
    default_pooling: str,
    width: int | None = None,
) -> HeadSpec:
    """A task's untrained head and the pooling it reads.

    Args:
        config: The task's.
        kind: What the head is to answer.
        encoder: What it stands on.
        max_length: Tokens of the longest sequence.
        default_pooling: Of a task that names none.
        width: Of the vectors that the head reads; the encoder's hidden size unless given.

    Raises:
        ValueError: If the head does not fit the kind or the encoder.
    """
    width = width or encoder.hidden_size
    if isinstance(config.head, CustomHeadConfig):
        spec = _custom_head(config, config.head, kind, width, default_pooling)
    else:
        body = _body(config, config.head, kind, encoder, width)
        layers = _layers(config.head, encoder, width)
        if kind.is_token_level:
            spec = _token_head(body, layers)
        else:
            pooling = config.pooling or _pooling_of_class(body) or default_pooling
            if layers is not None or pooling == "attention":
                spec = _segment_head(body, layers, pooling, width, max_length)
            else:
                spec = _pooled_head(config, body, pooling, kind, encoder)
    if isinstance(config.head, CustomHeadConfig | HfHeadConfig):
        check_logits(
            spec.head,
            hidden_size=width,
            num_vectors=encoder.num_layers + 1 if spec.pooling in LAYERED else None,
            num_outputs=kind.num_outputs,
            is_token_level=kind.is_token_level,
        )
    return spec


def combine_of(config: TaskConfig) -> str:
    """How a bi-encoded pair's vectors are joined."""
    return getattr(config, "combine", None) or DEFAULT_COMBINE


def _custom_head(
    config: TaskConfig, head: CustomHeadConfig, kind: Kind, width: int, default_pooling: str
) -> HeadSpec:
    module = build_custom_head(
        head.class_name,
        hidden_size=width,
        num_outputs=kind.num_outputs,
        parameters=head.parameters,
        value_range=_bounds(config),
    )
    reads_pooled = module.input_names in (POOLED, PAIR)
    return HeadSpec(head=module, pooling=(config.pooling or default_pooling) if reads_pooled else None)


def _token_head(body: nn.Module, layers: nn.Module | None) -> HeadSpec:
    return HeadSpec(
        head=TokenHead(body) if layers is None else SubEncodedTokenHead(layers, body), pooling=None
    )


def _segment_head(
    body: nn.Module, layers: nn.Module | None, pooling: str, width: int, max_length: int
) -> HeadSpec:
    if pooling not in SEGMENT_POOLINGS:
        raise ValueError(
            f"a sub_encoder pools the states of its own last layer, but the encoder's pooling is {pooling}; "
            f"set the task's pooling to one of {', '.join(SEGMENT_POOLINGS)}"
        )
    own = build_segment_pooling(pooling, hidden_size=width, max_length=max_length)
    return HeadSpec(head=SegmentHead(own, body, layers=layers), pooling=None)


def _pooled_head(config: TaskConfig, body: nn.Module, pooling: str, kind: Kind, encoder: Encoder) -> HeadSpec:
    mix = LayerMix(encoder.num_layers) if pooling in LAYER_MIXES else None
    read = LAYER_MIXES.get(pooling, pooling)
    if kind.bi_encoder:
        return HeadSpec(head=BiEncoderHead(combine_of(config), body, mix=mix), pooling=read)
    return HeadSpec(head=PooledHead(body, mix=mix), pooling=read)


def _body(config: TaskConfig, head: BodyConfig, kind: Kind, encoder: Encoder, width: int) -> nn.Module:
    """Features → logits, the bounds of a value included."""
    bounds = _bounds(config)
    if isinstance(head, HfHeadConfig):
        if width != encoder.hidden_size:
            raise ValueError(
                f"the head of a transformers class reads the encoder's width, {encoder.hidden_size}, but the "
                f"sharing layer gives {width}; leave its width out, or the task out of sharing.tasks"
            )
        body = HfBody(
            head.class_name, encoder.config, num_outputs=kind.num_outputs, parameters=head.parameters
        )
        return body if bounds is None else nn.Sequential(body, ScaledSigmoid(*bounds))
    return build_body(
        combined_size(combine_of(config), width) if kind.bi_encoder else width,
        kind.num_outputs,
        hidden=() if isinstance(head, LinearHeadConfig) else head.hidden,
        dropout=head.dropout,
        value_range=bounds,
    )


def _layers(head: BodyConfig, encoder: Encoder, width: int) -> SubEncoder | None:
    """The head's own transformer layers, where it has some."""
    if not isinstance(head, SubEncoderHeadConfig):
        return None
    return SubEncoder(
        width,
        num_layers=head.layers,
        num_heads=head.num_heads or encoder.config.num_attention_heads,
        intermediate_size=head.intermediate_size or FEED_FORWARD_FACTOR * width,
        dropout=head.dropout,
    )


def _pooling_of_class(body: nn.Module) -> str | None:
    """What a transformers class's head reads in its own model; None for other bodies."""
    for module in body.modules():
        if isinstance(module, HfBody):
            return "pooler" if module.reads_pooler() else "cls"
    return None


def _bounds(config: TaskConfig) -> tuple[float, float] | None:
    bounds: tuple[float, float] | None = getattr(config, "range", None)
    return bounds
