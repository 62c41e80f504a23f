"""A trained model's entries in the manifest."""

from export.encoder import encoder_inputs
from export.errors import ExportError
from export.fingerprint import fingerprint
from export.heads import describe_head, trained_heads
from export.manifest import (
    EncoderEntry,
    EncoderGraph,
    HeadEntry,
    PairMode,
    Pooling,
    Precision,
    SpanSearch,
    TagScheme,
    TaskEntry,
    TaskKind,
)
from export.masks import layout_of
from export.pooling import exported_poolings
from training.assembly.trained import TrainedModel
from training.calibration import DEFAULT_THRESHOLD
from training.encoder import SharedEncoder
from training.kinds.base import UNCALIBRATED, Calibration
from training.kinds.question_answering import QuestionAnswering
from training.kinds.tagging import Tagging


def encoder_entry(trained: TrainedModel, tokenizer_json: str, *, file: str, tolerance: float) -> EncoderEntry:
    """The encoder, in fp32.

    Args:
        trained: With its encoder.
        tokenizer_json: As the bundle has it.
        file: Of its graph.
        tolerance: Of that graph.
    """
    encoder, config = trainable_encoder(trained), trained.config.encoder
    read = [pooling for pooling in trained.model.poolings.values() if pooling is not None]
    return EncoderEntry(
        model=config.model,
        model_type=encoder.config.model_type,
        fingerprint=fingerprint(encoder, tokenizer_json, config.max_length),
        hidden_size=encoder.hidden_size,
        num_layers=encoder.num_layers,
        max_length=config.max_length,
        position_offset=encoder.position_offset,
        pad_token_id=encoder.pad_token_id,
        inputs=encoder_inputs(encoder),
        layout=layout_of(encoder.family),
        poolings=exported_poolings([*read, config.pooling]),
        default_pooling=Pooling(config.pooling),
        graphs={Precision.FP32: EncoderGraph(file=file, tolerance=tolerance)},
    )


def trainable_encoder(trained: TrainedModel) -> SharedEncoder:
    """The encoder, with its weights.

    Raises:
        ExportError: If the run has the graph of a bundle instead.
    """
    encoder = trained.model.encoder
    if not isinstance(encoder, SharedEncoder):
        raise ExportError(
            f"{trained.checkpoint} holds heads for a bundle's encoder, whose weights it lacks. Add them to "
            "the bundle: python -m export RUN --into BUNDLE --output NEW_BUNDLE"
        )
    return encoder


def task_entry(trained: TrainedModel, name: str, *, file: str, encoder_fingerprint: str) -> TaskEntry:
    """One task with its head, what was calibrated on dev and how well it does there.

    Args:
        trained: With ``dev`` in its metrics.
        name: The task's.
        file: Of its head's graph.
        encoder_fingerprint: Of the encoder it was trained on.
    """
    kind, config = trained.tasks[name].kind, trained.config.tasks[name]
    head = trained_heads(trained.model)[name]
    calibration = calibration_of(trained, name)
    pair = getattr(config, "pair", None)
    thresholds = calibration.thresholds
    if kind.name == TaskKind.MULTI_LABEL and thresholds is None:
        thresholds = (DEFAULT_THRESHOLD,) * kind.num_outputs
    return TaskEntry(
        kind=TaskKind(kind.name),
        pair=None if pair is None else PairMode(pair),
        pooling=head.pooling,
        labels=kind.labels,
        range=getattr(config, "range", None),
        temperature=calibration.temperature,
        thresholds=thresholds,
        scheme=TagScheme(kind.scheme) if isinstance(kind, Tagging) else None,
        spans=SpanSearch(
            stride=kind.stride,
            max_answer_tokens=kind.max_answer_tokens,
            no_answer_threshold=calibration.no_answer_threshold,
        )
        if isinstance(kind, QuestionAnswering)
        else None,
        head=HeadEntry(
            file=file,
            inputs=head.inputs,
            num_outputs=kind.num_outputs,
            encoder_fingerprint=encoder_fingerprint,
            architecture=describe_head(
                config,
                kind,
                default_pooling=trained.config.encoder.pooling,
                shared=trained.model.describe_shared(name),
            ),
        ),
        metrics=trained.metrics["dev"][name],
    )


def calibration_of(trained: TrainedModel, name: str) -> Calibration:
    """What was fitted on dev; nothing, for a task whose answer is no probability."""
    found = trained.metrics.get("calibration", {}).get(name)
    return UNCALIBRATED if found is None else Calibration(**found)
