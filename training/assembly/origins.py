"""Where a run's weights begin: pretrained ones, a trained run, or a bundle's graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from training.assembly.trained import UNREADABLE
from training.checkpoint import ENCODER_FOLDER, MODEL_FILE, TOKENIZER_FILE
from training.config.schema import Config
from training.encoder import build_encoder, load_encoder, load_tokenizer_json
from training.encoding import Encoder
from training.errors import CheckpointError, ConfigError
from training.graph_encoder import open_bundled_encoder, open_saved_encoder
from training.model import MultitaskModel
from training.sources import TOKENIZER_OF_BUNDLE, Source, find_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a run starts from.

    Attributes:
        tokenizer_json: Of the encoder.
        open_encoder: With its weights.
        heads: Weights of known heads, by task and by their names in the head.
    """

    tokenizer_json: str
    open_encoder: Callable[[], Encoder]
    heads: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def give_heads(self, model: MultitaskModel) -> None:
        """Let the model's known heads go on from their weights.

        Raises:
            ConfigError: If one has another shape.
        """
        faults = []
        for task, weights in self.heads.items():
            head = model.heads[task]
            try:
                head.load_state_dict(dict(weights))
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                faults.append(f"tasks.{task}: its trained head has another shape: {reason}")
        if faults:
            raise ConfigError("the configuration", faults)


def find_origin(config: Config) -> Origin:
    """What the configuration says to start from.

    Raises:
        TrainingError: If it cannot be read.
    """
    growth = config.growth
    if growth is None:
        return Origin(
            tokenizer_json=load_tokenizer_json(config.encoder.model),
            open_encoder=lambda: load_encoder(
                config.encoder.model,
                dropout=config.encoder.dropout,
                attention_dropout=config.encoder.attention_dropout,
            ),
        )
    source = find_source(Path(growth.source))
    if source.is_bundle:
        return Origin(
            tokenizer_json=(source.place / TOKENIZER_OF_BUNDLE).read_text(encoding="utf-8"),
            open_encoder=lambda: open_bundled_encoder(source.place),
        )
    known = [name for name in config.tasks if name in source.tasks and name not in growth.add]
    try:
        return _of_checkpoint(source, config, known)
    except UNREADABLE as error:
        raise _damaged(source, error) from error


def _of_checkpoint(source: Source, config: Config, known: list[str]) -> Origin:
    weights = load_file(source.place / MODEL_FILE)

    def open_encoder() -> Encoder:
        if not source.has_weights:
            return open_saved_encoder(source.place / ENCODER_FOLDER)
        with torch.random.fork_rng(devices=[]):  # weights that are replaced; heads start as from a bundle
            encoder = build_encoder(
                source.place / ENCODER_FOLDER,
                dropout=config.encoder.dropout,
                attention_dropout=config.encoder.attention_dropout,
            )
        encoder.load_state_dict(_under("encoder.", weights))
        return encoder

    def open_readable() -> Encoder:
        try:
            return open_encoder()
        except UNREADABLE as error:
            raise _damaged(source, error) from error

    return Origin(
        tokenizer_json=(source.place / TOKENIZER_FILE).read_text(encoding="utf-8"),
        open_encoder=open_readable,
        heads={task: _under(f"heads.{task}.", weights) for task in known},
    )


def _damaged(source: Source, error: Exception) -> CheckpointError:
    return CheckpointError(f"{source.place} is damaged: {' '.join(str(error).split())}")


def _under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
