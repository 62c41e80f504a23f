"""Small ONNX graphs, written by hand, and what ONNX Runtime makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def build_graph(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Mapping[str, int],
    output: str,
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> onnx.ModelProto:
    """A model with float inputs of the given ranks, of any shape."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
            for name, rank in inputs.items()
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The model's only output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, inputs)
    return np.asarray(output)


def op_types(model: onnx.ModelProto) -> list[str]:
    """Operators of the nodes, in order."""
    return [node.op_type for node in model.graph.node]
