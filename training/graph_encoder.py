"""The encoder of a bundle: a graph that answers and cannot be trained.

Heads that are added to a bundle learn from exactly what the service will hand them.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import onnxruntime
import torch
from pydantic import ValidationError
from torch import Tensor
from transformers import PretrainedConfig

from export.manifest import (
    PADDING_SEGMENT,
    BundleError,
    EncoderEntry,
    EncoderInput,
    Manifest,
    Precision,
    read_manifest,
    verify_files,
)
from training.batches import Batch
from training.encoding import LAST_HIDDEN_STATE, Encoder
from training.errors import CheckpointError
from training.segments import as_segments

GRAPH_FILE = "encoder.onnx"
DESCRIPTION_FILE = "graph.json"
"""The bundle's entry of the encoder, in a checkpoint's folder of the encoder."""


class GraphEncoder(Encoder):
    """Padded sequences → what a bundle's encoder graph gives for them, by ONNX Runtime on the CPU.

    Args:
        file: The fp32 graph.
        entry: The manifest's.
    """

    def __init__(self, file: Path, entry: EncoderEntry) -> None:
        super().__init__()
        self.file = file
        self.entry = entry
        options = onnxruntime.SessionOptions()
        options.enable_mem_pattern = False  # every shape would keep a plan of its own
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    @property
    def config(self) -> PretrainedConfig:
        """None in a bundle.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "it takes its shape from the encoder's configuration, which a bundle does not hold: use linear, "
            "mlp, custom or a sub_encoder with num_heads, or start from the run that was exported"
        )

    @property
    def hidden_size(self) -> int:
        """Width of the token states."""
        return self.entry.hidden_size

    @property
    def num_layers(self) -> int:
        """Transformer layers."""
        return self.entry.num_layers

    @property
    def pad_token_id(self) -> int:
        """Id written into padding; masked everywhere."""
        return self.entry.pad_token_id

    def digest(self) -> str:
        """The fingerprint of the bundle's encoder."""
        return self.entry.fingerprint

    def read(self, batch: Batch, readings: Sequence[str]) -> dict[str, Tensor]:
        """As ``Encoder`` says; a sequence a row. The graph runs on the CPU, wherever the batch is."""
        device, batch = batch.input_ids.device, batch.to(torch.device("cpu"))
        segments = as_segments(batch.attention_mask)
        start = self.entry.position_offset
        positions = torch.arange(start, start + batch.input_ids.shape[1]).expand_as(batch.input_ids)
        tensors = {
            EncoderInput.INPUT_IDS: batch.input_ids,
            EncoderInput.POSITION_IDS: torch.where(segments == PADDING_SEGMENT, start, positions),
            EncoderInput.SEGMENT_IDS: segments,
            EncoderInput.TOKEN_TYPE_IDS: batch.token_type_ids,
        }
        names = [each if each == LAST_HIDDEN_STATE else f"pooled_{each}" for each in readings]
        outputs = self._session.run(names, {name: tensors[name].numpy() for name in self.entry.inputs})
        return {
            reading: torch.from_numpy(found).to(device)
            for reading, found in zip(readings, outputs, strict=True)
        }

    def faults(self, *, max_length: int, poolings: Iterable[str]) -> list[str]:
        """Poolings that the graph does not have."""
        known = ", ".join(self.entry.poolings)
        faults = [
            f"pooling: {pooling!r}, but the bundle's encoder graph has {known}"
            for pooling in sorted(set(poolings) - set(self.entry.poolings))
        ]
        if max_length != self.entry.max_length:
            faults.append(f"encoder.max_length: {max_length}, but the bundle has {self.entry.max_length}")
        return faults

    def save_description(self, folder: Path) -> None:
        """Write the manifest's entry, and copies of the graph's files.

        Not links: ``onnx`` refuses to read weights that have several names.
        """
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.file, folder / GRAPH_FILE)
        weights = self.entry.graphs[Precision.FP32].weights
        if weights is not None:  # the graph names it
            shutil.copyfile(self.file.with_name(weights), folder / weights)
        (folder / DESCRIPTION_FILE).write_text(self.entry.model_dump_json(indent=2) + "\n", encoding="utf-8")


def open_bundled_encoder(bundle: Path) -> GraphEncoder:
    """The encoder of a bundle.

    Raises:
        CheckpointError: If the bundle is damaged.
    """
    manifest = read_bundle(bundle)
    try:
        verify_files(bundle, manifest)
    except BundleError as error:
        raise CheckpointError(str(error)) from error
    return GraphEncoder(bundle / manifest.encoder.graphs[Precision.FP32].file, manifest.encoder)


def open_saved_encoder(folder: Path) -> GraphEncoder:
    """What ``GraphEncoder.save_description`` wrote.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        entry = EncoderEntry.model_validate_json((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return GraphEncoder(folder / GRAPH_FILE, entry)
    except ValidationError as error:
        raise ValueError(f"{folder / DESCRIPTION_FILE}: {error}") from error
    except Exception as error:  # the exception types of ONNX Runtime live in a private module
        raise ValueError(f"{folder / GRAPH_FILE}: {error}") from error


def read_bundle(bundle: Path) -> Manifest:
    """A bundle's manifest.

    Raises:
        CheckpointError: If it is missing or invalid.
    """
    try:
        return read_manifest(bundle)
    except BundleError as error:
        raise CheckpointError(str(error)) from error
