"""A task's head as a small graph: pooled vectors → ``logits``."""

from pathlib import Path

import torch
from torch import nn

from export.graphs import export_graph
from training.config import TaskConfig

EXAMPLE_BATCH = 2


def export_head(head: nn.Module, file: Path, *, hidden_size: int) -> None:
    """Write a head's graph; its inputs are the head's ``input_names``."""
    batch_size = torch.export.Dim("batch_size")
    export_graph(
        head,
        file,
        inputs={name: torch.zeros(EXAMPLE_BATCH, hidden_size) for name in head.input_names},  # type: ignore[union-attr]
        outputs=["logits"],
        dynamic_shapes={name: {0: batch_size} for name in head.input_names},  # type: ignore[union-attr]
    )


def describe_head(task: TaskConfig) -> str:
    """A head's architecture for people: ``diff_product + mlp [256]``."""
    layers = f"mlp {list(task.head.hidden)}" if task.head.type == "mlp" else "linear"
    if getattr(task, "pair", None) != "bi_encoder":
        return layers
    return f"{getattr(task, 'combine', None) or 'diff_product'} + {layers}"
