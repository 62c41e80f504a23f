"""Checkpoint folder → the trained model: what evaluation and export start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from training.assembly.data import build_tasks
from training.assembly.heads import build_heads
from training.assembly.sharing import build_sharing
from training.checkpoint import (
    CONFIG_FILE,
    ENCODER_FOLDER,
    MODEL_FILE,
    TOKENIZER_FILE,
    read_metrics,
    resolve_checkpoint,
)
from training.config.schema import Config
from training.encoder import build_encoder
from training.encoding import Encoder
from training.errors import CheckpointError, WeightsError
from training.graph_encoder import DESCRIPTION_FILE, open_saved_encoder
from training.model import MultitaskModel
from training.tasks import Task
from training.tokenization import build_tokenizer

UNREADABLE = (OSError, ValueError, RuntimeError, SafetensorError, WeightsError)
"""What the readers of a checkpoint's files raise for a missing or damaged one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A checkpoint in memory: what evaluation and export start from.

    Attributes:
        config: The run's.
        model: In evaluation mode, on the CPU.
        tasks: By name.
        tokenizer: As in training.
        metrics: ``metrics.json``.
        checkpoint: Its folder.
    """

    config: Config
    model: MultitaskModel
    tasks: dict[str, Task]
    tokenizer: Tokenizer
    metrics: dict[str, Any]
    checkpoint: Path


def build_model(config: Config, encoder: Encoder) -> MultitaskModel:
    """The encoder with an untrained head per task, and what the tasks share between.

    Raises:
        ConfigError: If heads or the sharing layer do not fit their kinds or the encoder.
    """
    sharing = build_sharing(config, hidden_size=encoder.hidden_size)
    heads = build_heads(config, build_tasks(config), encoder, sharing)
    return MultitaskModel(
        encoder,
        heads,
        train_encoder=config.encoder.train == "full",
        frozen_layers=config.encoder.frozen_layers,
        sharing=sharing,
    )


def load_model(path: Path) -> TrainedModel:
    """Load a checkpoint folder, or a run's best one.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    checkpoint = resolve_checkpoint(path)
    try:
        config = load_saved_config(checkpoint / CONFIG_FILE)
        model = build_model(config, open_encoder(checkpoint / ENCODER_FOLDER))
        model.load_state_dict(load_file(checkpoint / MODEL_FILE))
        tokenizer_json = (checkpoint / TOKENIZER_FILE).read_text(encoding="utf-8")
        tokenizer = build_tokenizer(tokenizer_json, config.encoder.max_length)
        metrics = read_metrics(checkpoint)
    except UNREADABLE as error:
        raise CheckpointError(f"{checkpoint} is damaged: {error}") from error
    return TrainedModel(
        config=config,
        model=model.eval(),
        tasks=build_tasks(config),
        tokenizer=tokenizer,
        metrics=metrics,
        checkpoint=checkpoint,
    )


def open_encoder(folder: Path) -> Encoder:
    """The encoder of a checkpoint: without weights yet, or the graph of the bundle it came from."""
    if (folder / DESCRIPTION_FILE).is_file():
        return open_saved_encoder(folder)
    return build_encoder(folder)


def load_saved_config(file: Path) -> Config:
    """Read a checkpoint's configuration: valid when it was written, though its data may have moved since."""
    try:
        return Config.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{file} is damaged: {error}") from error
