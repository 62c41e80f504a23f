"""Which values the encoder's activations take on real texts: what static quantisation is calibrated with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.manifest import PADDING_SEGMENT, EncoderEntry, EncoderInput
from export.packing import PackedRows

FloatArray: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRange:
    """Least and largest value of each channel of a tensor. Both of shape ``(num_channels,)``."""

    low: FloatArray
    high: FloatArray

    @property
    def peaks(self) -> FloatArray:
        """Largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def weight_products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The products of activations with a weight matrix, in the graph's order."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    return [
        node
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in matrices and node.input[0] not in matrices
    ]


def measure_ranges(
    model: onnx.ModelProto, batches: Iterable[PackedRows], encoder: EncoderEntry
) -> dict[str, ChannelRange]:
    """Run texts through a graph and note the range of every input of a weight product, channel by channel.

    Args:
        model: The encoder, in fp32.
        batches: Of calibration texts, at least one. Padding does not count.
        encoder: The manifest's entry.

    Returns:
        By the tensor's name.
    """
    names = list(dict.fromkeys(node.input[0] for node in weight_products(model)))
    session = _session_with_outputs(model, names)
    found: dict[str, ChannelRange] = {}
    for rows in batches:
        is_token = rows.tensors[EncoderInput.SEGMENT_IDS] != PADDING_SEGMENT
        for name, values in zip(names, session.run(names, rows.feed(encoder)), strict=True):
            # Not every product is over tokens: DeBERTa has one over relative positions.
            is_of_tokens = values.shape[:-1] == is_token.shape
            vectors = values[is_token] if is_of_tokens else values.reshape(-1, values.shape[-1])
            here = ChannelRange(low=vectors.min(axis=0), high=vectors.max(axis=0))
            found[name] = _join(found.get(name, here), here)
    return found


def _join(a: ChannelRange, b: ChannelRange) -> ChannelRange:
    return ChannelRange(low=np.minimum(a.low, b.low), high=np.maximum(a.high, b.high))


def _session_with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    watched = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
