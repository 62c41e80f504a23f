"""A trained model that another run starts from, without its weights: a run, a checkpoint or a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from export.manifest import MANIFEST_FILE, Precision
from training.checkpoint import (
    CONFIG_FILE,
    ENCODER_FOLDER,
    MODEL_FILE,
    TOKENIZER_FILE,
    RunFolder,
    resolve_checkpoint,
)
from training.errors import CheckpointError
from training.graph_encoder import DESCRIPTION_FILE, read_bundle

TOKENIZER_OF_BUNDLE = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a configuration must fit.

    Attributes:
        place: The bundle, or the checkpoint.
        is_bundle: Which of the two.
        has_weights: Whether the encoder can be trained further; a bundle holds its graph alone.
        model: Where the encoder's weights once came from: ``encoder.model``.
        max_length: Tokens a sequence keeps.
        encoder: The ``encoder`` section of a run's configuration; empty of a bundle.
        tasks: By name, the sections of a run's configuration; empty ones of a bundle.
        parts: Files and folders that a run which starts from it reads.
        shares: Whether a sharing layer stands between a run's encoder and its heads.
    """

    place: Path
    is_bundle: bool
    has_weights: bool
    model: str
    max_length: int
    encoder: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]
    parts: tuple[Path, ...]
    shares: bool = False


def find_source(path: Path) -> Source:
    """Look at what a run is to start from.

    Raises:
        CheckpointError: If it is neither a finished run, a checkpoint nor a bundle.
    """
    if (path / MANIFEST_FILE).is_file():
        manifest = read_bundle(path)
        graph = manifest.encoder.graphs[Precision.FP32]
        return Source(
            place=path,
            is_bundle=True,
            has_weights=False,
            model=manifest.encoder.model,
            max_length=manifest.encoder.max_length,
            encoder={},
            tasks={task: {} for task in manifest.tasks},
            parts=tuple(path / file for file in (*graph.files, TOKENIZER_OF_BUNDLE)),
        )
    index = RunFolder(path).index
    if index is None and not (path / MODEL_FILE).is_file():
        raise CheckpointError(f"{path} is neither a run, a checkpoint nor a bundle")
    if index is not None and not index.finished:
        raise CheckpointError(f"the run in {path} is not finished: continue it with --resume")
    checkpoint = resolve_checkpoint(path)
    try:
        raw = yaml.safe_load((checkpoint / CONFIG_FILE).read_text(encoding="utf-8"))
        return Source(
            place=checkpoint,
            is_bundle=False,
            has_weights=not (checkpoint / ENCODER_FOLDER / DESCRIPTION_FILE).is_file(),
            model=raw["encoder"]["model"],
            max_length=raw["encoder"]["max_length"],
            encoder=raw["encoder"],
            tasks=raw["tasks"],
            parts=tuple(checkpoint / part for part in (MODEL_FILE, ENCODER_FOLDER, TOKENIZER_FILE)),
            shares=raw.get("sharing") is not None,
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint / CONFIG_FILE} is damaged: {error}") from error
