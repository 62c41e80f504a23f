"""A torch module → one ONNX file with named inputs and outputs and dynamic shapes."""

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSET = 20
"""20 has every operator used here; 23 emits the fused Attention operator, no faster with a packed mask."""


def export_graph(
    module: nn.Module,
    file: Path,
    *,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic_shapes: Mapping[str, Mapping[int, torch.export.Dim]],
) -> None:
    """Trace a module in evaluation mode and write its graph.

    Args:
        module: Its ``forward`` takes ``inputs`` by position.
        file: To write.
        inputs: Name → example.
        outputs: Names, in the order of the module's results.
        dynamic_shapes: Input → axis → dimension.
    """
    for noisy in ("onnxscript", "torch.onnx"):  # they list every optional package that is not installed
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # The exporter reports its stages on stdout and warns of its own deprecations.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(dict(dynamic_shapes[name]) for name in inputs),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,
            verbose=False,
        )
    onnx.checker.check_model(str(file))
