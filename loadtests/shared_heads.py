"""What a sharing layer costs in heads: a graph for each task's path, or one graph for all tasks.

    python -m loadtests.shared_heads

For layers of default sizes over vectors of MiniLM's width: bytes, and milliseconds for 32 texts
on one thread, of all tasks asked together and of one task alone. Both kinds of graph are cut from one trace,
and timed by turns in one process, the quickest round of each. The plain linear head is the first row.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
import onnxruntime
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from export.graphs import export_graph
from training.assembly.sharing import build_layer
from training.config.sharing import SharingConfig
from training.heads import PooledHead, build_body
from training.sharing import SharedPath

HIDDEN_SIZE, OUTPUTS, BATCH = 384, 5, 32
LAYERS = ("shared_bottom", "mmoe", "cgc", "ple", "cross_stitch")
POOLED = "pooled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one layer.

    Attributes:
        bytes_apart: Of the tasks' own graphs together.
        bytes_together: Of the one graph.
        apart_ms: All tasks, each by its own graph.
        together_ms: All tasks by the one graph.
        one_ms: One task by its own graph.
    """

    bytes_apart: int
    bytes_together: int
    apart_ms: float
    together_ms: float
    one_ms: float


class AllPaths(nn.Module):
    """Every task's logits from one vector.

    Args:
        paths: By task.
    """

    def __init__(self, paths: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.paths = nn.ModuleDict(paths)

    def forward(self, pooled: Tensor) -> tuple[Tensor, ...]:
        """Each of shape ``(batch_size, OUTPUTS)``."""
        return tuple(path(pooled) for path in self.paths.values())


def paths_of(name: str | None, tasks: Sequence[str]) -> dict[str, nn.Module]:
    """Linear heads behind a layer of default sizes; plain ones for None."""
    if name is None:
        return {task: PooledHead(build_body(HIDDEN_SIZE, OUTPUTS)) for task in tasks}
    section: TypeAdapter[Any] = TypeAdapter(SharingConfig)
    layer = build_layer(section.validate_python(name), tasks, hidden_size=HIDDEN_SIZE)
    return {
        task: SharedPath(layer, task, PooledHead(build_body(layer.out_features(task), OUTPUTS)))
        for task in tasks
    }


def cost_of(paths: Mapping[str, nn.Module], folder: Path, *, rounds: int) -> Cost:
    """Export both ways and time them by turns."""
    together = folder / "together.onnx"
    batch_size = torch.export.Dim("batch_size")
    export_graph(
        AllPaths(paths),
        together,
        inputs={POOLED: torch.zeros(2, HIDDEN_SIZE)},
        outputs=list(paths),
        dynamic_shapes={POOLED: {0: batch_size}},
    )
    cutter = onnx.utils.Extractor(onnx.load(together))
    apart = [folder / f"{task}.onnx" for task in paths]
    for task, file in zip(paths, apart, strict=True):
        onnx.save(cutter.extract_model([POOLED], [task]), file)
    sessions = [_session(file) for file in apart]
    joint = _session(together)
    feed = {POOLED: np.random.default_rng(0).normal(size=(BATCH, HIDDEN_SIZE)).astype(np.float32)}
    times: dict[str, list[float]] = {"apart": [], "together": [], "one": []}
    for _ in range(rounds):
        times["apart"].append(_timed(sessions, feed))
        times["together"].append(_timed([joint], feed))
        times["one"].append(_timed(sessions[:1], feed))
    # The quickest round: a busy machine interrupts most of them, and none is too quick.
    quickest = {key: 1000 * min(values) for key, values in times.items()}
    return Cost(
        bytes_apart=sum(file.stat().st_size for file in apart),
        bytes_together=together.stat().st_size,
        apart_ms=quickest["apart"],
        together_ms=quickest["together"],
        one_ms=quickest["one"],
    )


def _session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _timed(sessions: Sequence[onnxruntime.InferenceSession], feed: Mapping[str, object]) -> float:
    start = time.perf_counter()
    for session in sessions:
        session.run(None, dict(feed))
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=300)
    given = parser.parse_args()
    tasks = [f"task_{number}" for number in range(given.tasks)]
    apart = f"{len(tasks)} graphs"
    lines = [
        f"| layer | MB, {apart} | MB, one graph | ms, {apart} | ms, one graph | ms, one task |",
        "|---|---|---|---|---|---|",
    ]
    for name in (None, *LAYERS):
        with tempfile.TemporaryDirectory() as folder:
            cost = cost_of(paths_of(name, tasks), Path(folder), rounds=given.rounds)
        lines.append(
            f"| {name or 'none'} | {cost.bytes_apart / 1e6:.2f} | {cost.bytes_together / 1e6:.2f} "
            f"| {cost.apart_ms:.2f} | {cost.together_ms:.2f} | {cost.one_ms:.3f} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
