"""A graph's weights in a file beside it: ONNX Runtime maps such a file, and copies what lies in the graph."""

import shutil
from pathlib import Path

import onnx

LEAST_BYTES = 1024
"""Of a tensor that is moved. Smaller ones are shapes and the like, which the graph's optimisation reads."""


def move_weights(graph: Path) -> str | None:
    """Rewrite a graph without its weights.

    Args:
        graph: Changed. Its weights go into a file of the same name and folder that ends in ``.weights``.

    Returns:
        The new file's name; None if the graph has nothing to move.
    """
    weights = graph.with_suffix(".weights")
    model = onnx.load(graph)
    onnx.save(
        model, graph, save_as_external_data=True, location=weights.name, size_threshold=LEAST_BYTES
    )  # fmt: skip
    if not weights.exists():
        return None
    shutil.copymode(graph, weights)  # onnx makes it unreadable for others, as a container's user may be
    return weights.name
