"""ONNX Runtime sessions for checking a bundle on the CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export.manifest import BundleFileError


class Graph:
    """An ONNX file, ready to run.

    Args:
        file: The graph.

    Raises:
        BundleFileError: If ONNX Runtime cannot load it.
    """

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.enable_mem_pattern = False  # every shape of a parity check would keep a plan of its own
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exception types live in a private module
            raise BundleFileError(f"{file} is no graph that ONNX Runtime loads: {error}") from error
        self.inputs = tuple(entry.name for entry in self._session.get_inputs())
        self.outputs = tuple(entry.name for entry in self._session.get_outputs())

    def run(
        self, feed: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Output name → array, of those asked for or of all."""
        names = list(outputs or self.outputs)
        return dict(zip(names, self._session.run(names, dict(feed)), strict=True))
