"""Editing an ONNX graph: nodes replaced in place, constants added, what nobody reads any more left out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
"""ONNX Runtime's own operators."""


class GraphEditor:
    """A copy of a model, being changed.

    Args:
        model: Left as it is. Its nodes are in topological order, and stay so where new nodes stand at the
            place of the last one they replace.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto.FromString(model.SerializeToString())
        self.nodes: tuple[onnx.NodeProto, ...] = tuple(self._model.graph.node)
        self._constants = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._outputs = {output.name for output in self._model.graph.output}
        self._consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self._consumers[name].append(node)
        self._replaced: dict[str, Sequence[onnx.NodeProto]] = {}

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """An initializer's values; None for any other tensor."""
        tensor = self._constants.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """Nodes that read a tensor, in order."""
        return self._consumers[name]

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor; None if there are several, or it is an output of the graph."""
        consumers = self._consumers[name]
        return consumers[0] if len(consumers) == 1 and name not in self._outputs else None

    def add_constant(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        """Add an initializer once. Returns its name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def replace(self, node: onnx.NodeProto, new: Iterable[onnx.NodeProto] = ()) -> None:
        """Put other nodes where a node stood."""
        self._replaced[node.output[0]] = list(new)

    def finish(self) -> onnx.ModelProto:
        """The changed model. The editor is used up."""
        graph = self._model.graph
        nodes = [new for node in self.nodes for new in self._replaced.get(node.output[0], (node,))]
        read = {name for node in nodes for name in node.input} | self._outputs
        del graph.node[:]
        graph.node.extend(nodes)
        del graph.initializer[:]
        graph.initializer.extend(tensor for name, tensor in self._constants.items() if name in read)
        del graph.value_info[:]  # of tensors that may be gone
        if any(node.domain == MICROSOFT for node in nodes):
            self._model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        return self._model
