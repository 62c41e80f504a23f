"""Every task's head as a small graph of its own: named inputs → ``logits``."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx.utils
import torch
from torch import Tensor, nn

from export.graphs import export_graph
from export.manifest import HeadInput
from training.config import TaskConfig

EXAMPLE_BATCH = 2
LOGITS = "logits"


class AllHeads(nn.Module):
    """Every head over the same inputs: traced once, then cut into one graph a head.

    The exporter reads its whole operator library at each call, so ten calls cost ten times as much as one.

    Args:
        heads: Modules as ``training.heads.Head`` describes, by task.
    """

    def __init__(self, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(heads)

    def forward(self, pooled: Tensor, pooled_a: Tensor, pooled_b: Tensor) -> tuple[Tensor, ...]:
        """Logits of every head, in the order of the tasks. Inputs of shape ``(batch_size, hidden_size)``."""
        named = {HeadInput.POOLED: pooled, HeadInput.POOLED_A: pooled_a, HeadInput.POOLED_B: pooled_b}
        return tuple(head(*(named[name] for name in head.input_names)) for head in self.heads.values())  # type: ignore[union-attr]


def export_heads(heads: Mapping[str, nn.Module], files: Mapping[str, Path], *, hidden_size: int) -> None:
    """Write each head's graph; its inputs are the head's ``input_names``.

    Args:
        heads: By task.
        files: Where each goes.
        hidden_size: Width of the pooled vectors.
    """
    names = (HeadInput.POOLED, HeadInput.POOLED_A, HeadInput.POOLED_B)
    staging = next(iter(files.values())).with_name(".heads.onnx")
    batch_size = torch.export.Dim("batch_size")
    export_graph(
        AllHeads(heads),
        staging,
        inputs={name: torch.zeros(EXAMPLE_BATCH, hidden_size) for name in names},
        outputs=[_output(task) for task in heads],
        dynamic_shapes={name: {0: batch_size} for name in names},
    )
    cutter = onnx.utils.Extractor(onnx.load(staging))
    staging.unlink()
    for task, head in heads.items():
        graph = cutter.extract_model(list(head.input_names), [_output(task)])  # type: ignore[arg-type]
        _rename_output(graph, _output(task), LOGITS)
        onnx.checker.check_model(graph)
        onnx.save(graph, files[task])


def describe_head(task: TaskConfig) -> str:
    """A head's architecture for people: ``diff_product + mlp [256]``."""
    layers = f"mlp {list(task.head.hidden)}" if task.head.type == "mlp" else "linear"
    if getattr(task, "pair", None) != "bi_encoder":
        return layers
    return f"{getattr(task, 'combine', None) or 'diff_product'} + {layers}"


def _output(task: str) -> str:
    return f"{task}.{LOGITS}"


def _rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    """Rename a graph's output; nothing inside the graph reads it."""
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for entry in model.graph.output:
        entry.name = new if entry.name == old else entry.name
