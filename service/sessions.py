"""What runs the graphs: protocols for the engine, and their ONNX Runtime versions.

The engine sees packed rows, row shapes and arrays. Where the buffers live, and which shapes a device wants,
is the session's own affair: CUDA is another provider with ``FixedRows``, not another engine.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.manifest import EncoderEntry, EncoderInput, HeadInput, Layout, Pooling
from service.lanes import Crew, Way
from service.packing import BucketedRows, FixedRows, PackedBatch, RowShapes, SingleRows
from service.settings import Provider

FATAL = 4
"""ONNX Runtime's log level at which a provider that fails to load stays silent."""

SPIN_US = "1000"
"""Longest gap between two operators that threads share: what stands between them runs on one thread."""

SHORTEST_ROW = 16
"""Tokens of a device's shortest row, where each sequence has its own."""

SLOW_FUSIONS = ["SkipLayerNormFusion"]
"""Graph optimisations of ONNX Runtime that cost more than they save.

Its fused residual sum and layer norm takes several times as long on a CPU as the two operators (onnxruntime
1.31). The last line of ``python -m loadtests.precisions`` shows what that is of the encoder.
"""

Feed: TypeAlias = Mapping[EncoderInput, NDArray[np.int64]]
"""A graph's inputs. Each of shape ``(rows, row_len)``."""

LAST_HIDDEN_STATE = "last_hidden_state"
LOGITS = "logits"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncoderOutputs:
    """What one encoder batch gives."""

    pooled: Mapping[Pooling, NDArray[np.float32]]
    """Each of shape ``(num_segments, hidden_size)``, or ``(num_segments, num_layers + 1, hidden_size)`` of a
    layered pooling, in the order of the segment ids."""
    last_hidden_state: NDArray[np.float32] | None
    """Shape ``(rows, row_len, hidden_size)``; only if asked for."""


class EncoderSession(Protocol):
    """The shared encoder. Called by one thread, or by one for each lane at the same time."""

    @property
    def row_shapes(self) -> RowShapes:
        """The shapes this session wants its batches in."""

    @property
    def lanes(self) -> int:
        """Batches that it takes at the same time, each by ``Crew.LANE``."""

    def encode(self, batch: PackedBatch, *, with_states: bool, crew: Crew) -> EncoderOutputs:
        """Run one packed batch."""


class HeadSession(Protocol):
    """One task's head. Called from one thread at a time."""

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        """Logits of shape ``(batch_size, num_outputs)``."""


class OnnxEncoderSession:
    """The encoder graph in ONNX Runtime, through bound buffers."""

    def __init__(self, graphs: Mapping[Crew, Any], entry: EncoderEntry, *, lanes: int, row_len: int) -> None:
        """Bind opened graphs to the bundle's conventions.

        Args:
            graphs: The graph as each crew runs it, by ``open_graph``; with one lane they may be the same.
            entry: Of the manifest.
            lanes: That the second crew has.
            row_len: Tokens of a shared row.
        """
        self._graphs = graphs
        # The provider may have failed to load (no cuDNN): ONNX Runtime then falls back by itself.
        used_cuda = graphs[Crew.ALL].get_providers()[0] == "CUDAExecutionProvider"
        self.provider = Provider.CUDA if used_cuda else Provider.CPU
        self.row_shapes = row_shapes(self.provider, entry, row_len=row_len)
        self.lanes = lanes
        self._inputs = entry.inputs
        self._poolings = entry.poolings
        self._device_inputs: dict[tuple[int, int], dict[EncoderInput, Any]] = {}

    @classmethod
    def open(cls, path: Path, entry: EncoderEntry, *, provider: Provider, way: Way, row_len: int) -> Self:
        """Open a graph once for each crew; once altogether where there is one lane."""
        everybody = open_graph(path, provider=provider, num_threads=way.all_threads)
        lane = open_graph(path, provider=provider, num_threads=way.threads) if way.lanes > 1 else everybody
        graphs = {Crew.ALL: everybody, Crew.LANE: lane}
        return cls(graphs, entry, lanes=way.lanes, row_len=row_len)

    def encode(self, batch: PackedBatch, *, with_states: bool, crew: Crew) -> EncoderOutputs:
        """Run one packed batch. ONNX Runtime releases the GIL meanwhile."""
        graph = self._graphs[crew]
        binding = graph.io_binding()
        self._bind_inputs(binding, {name: getattr(batch, name.value) for name in self._inputs})
        names = [pooling.output_name for pooling in self._poolings] + [LAST_HIDDEN_STATE] * with_states
        for name in names:
            # The number of segments is data: the session allocates, on the host, where the cache and the
            # heads are.
            binding.bind_output(name, "cpu")
        graph.run_with_iobinding(binding)
        outputs = dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))
        return EncoderOutputs(
            pooled={pooling: outputs[pooling.output_name] for pooling in self._poolings},
            last_hidden_state=outputs.get(LAST_HIDDEN_STATE),
        )

    def _bind_inputs(self, binding: Any, arrays: Feed) -> None:  # noqa: ANN401 - untyped library
        if self.provider is Provider.CPU:
            for name, array in arrays.items():
                binding.bind_cpu_input(name.value, array)
            return
        for name, buffer in self._device_buffers(arrays).items():
            buffer.update_inplace(arrays[name])
            binding.bind_ortvalue_input(name.value, buffer)

    def _device_buffers(self, arrays: Feed) -> dict[EncoderInput, Any]:
        """Device memory of the batch's shape, kept: ``FixedRows`` makes the shapes few."""
        from onnxruntime import OrtValue

        shape = next(iter(arrays.values())).shape
        if shape not in self._device_inputs:
            self._device_inputs[shape] = {
                name: OrtValue.ortvalue_from_numpy(array, "cuda", 0) for name, array in arrays.items()
            }
        return self._device_inputs[shape]


class OnnxHeadSession:
    """A head graph in ONNX Runtime, on the CPU: its inputs come from the cache, which is there."""

    def __init__(self, path: Path) -> None:
        self._session = open_graph(path, provider=Provider.CPU, num_threads=1)

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        """Logits of shape ``(batch_size, num_outputs)``."""
        (logits,) = self._session.run([LOGITS], {name.value: array for name, array in inputs.items()})
        return np.asarray(logits, dtype=np.float32)


def row_shapes(provider: Provider, entry: EncoderEntry, *, row_len: int) -> RowShapes:
    """The shapes that suit a provider and the encoder's layout.

    Args:
        provider: Where the encoder runs.
        entry: Of the manifest.
        row_len: Tokens of a shared row.
    """
    is_packed = entry.layout is Layout.PACKED
    if provider is Provider.CPU:
        return BucketedRows(row_len=row_len) if is_packed else SingleRows()
    row_lens = (row_len, entry.max_length) if is_packed else _doubling(SHORTEST_ROW, entry.max_length)
    return FixedRows(row_lens=_ascending(row_lens), row_counts=(1, 2, 4, 8, 16, 32, 64), are_shared=is_packed)


def _doubling(first: int, last: int) -> list[int]:
    lengths = [min(first, last)]
    while lengths[-1] < last:
        lengths.append(min(2 * lengths[-1], last))
    return lengths


def _ascending(lengths: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(lengths)))


def open_graph(path: Path, *, provider: Provider, num_threads: int) -> Any:  # noqa: ANN401
    """An ONNX Runtime session of a graph.

    Args:
        path: Of the graph.
        provider: Where it runs.
        num_threads: That work together on a run, on the CPU.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # A plan per input shape would be kept for ever (onnxruntime#9509).
    options.enable_mem_pattern = False
    # A worker that sleeps between two operators is woken too late. After a run it would take a core from the
    # event loop, so there it stops at once.
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_US)
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        str(path),
        options,
        providers=_provider_names(provider),
        disabled_optimizers=SLOW_FUSIONS if provider is Provider.CPU else None,
    )


def _provider_names(provider: Provider) -> Sequence[str]:
    return (
        ["CUDAExecutionProvider", "CPUExecutionProvider"]
        if provider is Provider.CUDA
        else ["CPUExecutionProvider"]
    )
