"""Every task's head as a small graph of its own: named inputs → ``logits``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.utils
import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.graphs import export_graph
from export.inference import LOGITS
from export.manifest import HeadInput, Pooling
from training.assembly.heads import combine_of
from training.config.heads import (
    CustomHeadConfig,
    HfHeadConfig,
    LinearHeadConfig,
    MlpHeadConfig,
    SubEncoderHeadConfig,
)
from training.config.tasks import TaskConfig
from training.heads.poolings import LAYER_MIXES
from training.kinds.base import Kind
from training.model import MultitaskModel

LAYERED_PREFIX = "layered_"
"""Of the joint trace's inputs with a vector for each layer; a head's own graph calls them ``pooled…``."""
VECTORS = (HeadInput.POOLED, HeadInput.POOLED_A, HeadInput.POOLED_B)
STATES = (HeadInput.LAST_HIDDEN_STATE, HeadInput.SEGMENT_IDS)
TRACED_INPUTS = (*VECTORS, *(f"{LAYERED_PREFIX}{name}" for name in VECTORS), *STATES)

EXAMPLE_BATCH = 2
EXAMPLE_SEGMENTS = ((0, 0, 0, 1, 1, 1, 1, -1), (2, 2, 2, 2, 2, -1, -1, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedHead:
    """A head to export.

    Attributes:
        module: As ``training.heads.Head`` describes.
        pooling: What its ``pooled…`` inputs hold; None for a head over token states.
    """

    module: nn.Module
    pooling: Pooling | None

    @property
    def inputs(self) -> tuple[HeadInput, ...]:
        """Inputs of its graph, in order."""
        names: tuple[str, ...] = self.module.input_names  # type: ignore[assignment]
        return tuple(map(HeadInput, names))

    @property
    def traced_inputs(self) -> tuple[str, ...]:
        """The same in the joint trace."""
        is_layered = self.pooling is not None and self.pooling.is_layered
        return tuple(f"{LAYERED_PREFIX}{name}" if is_layered else str(name) for name in self.inputs)


class AllHeads(nn.Module):
    """Every head over the same inputs: traced once, then cut into one graph a head.

    The exporter reads its whole operator library at each call, so ten calls cost ten times as much as one.

    Args:
        heads: By task.
    """

    def __init__(self, heads: Mapping[str, TrainedHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({task: head.module for task, head in heads.items()})
        self.reads = [head.traced_inputs for head in heads.values()]

    def forward(
        self,
        pooled: Tensor,
        pooled_a: Tensor,
        pooled_b: Tensor,
        layered_pooled: Tensor,
        layered_pooled_a: Tensor,
        layered_pooled_b: Tensor,
        last_hidden_state: Tensor,
        segment_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Logits of every head, in the order of the tasks."""
        vectors = (pooled, pooled_a, pooled_b, layered_pooled, layered_pooled_a, layered_pooled_b)
        named = dict(zip(TRACED_INPUTS, (*vectors, last_hidden_state, segment_ids), strict=True))
        return tuple(
            head(*(named[name] for name in names))
            for head, names in zip(self.heads.values(), self.reads, strict=True)
        )


def export_heads(
    heads: Mapping[str, TrainedHead], files: Mapping[str, Path], *, hidden_size: int, num_layers: int
) -> None:
    """Write each head's graph; its inputs are the head's ``input_names``.

    Args:
        heads: By task.
        files: Where each goes.
        hidden_size: Width of vectors and token states.
        num_layers: Of the encoder.

    Raises:
        ExportError: Naming the heads that cannot be written as graphs.
    """
    staging = next(iter(files.values())).with_name(".heads.onnx")
    try:
        _export_together(heads, staging, hidden_size=hidden_size, num_layers=num_layers)
    except Exception as error:  # the exporter raises whatever a head's code raises
        raise _named(heads, staging, hidden_size, num_layers) from error
    cutter = onnx.utils.Extractor(onnx.load(staging))
    staging.unlink()
    for task, head in heads.items():
        graph = cutter.extract_model(list(head.traced_inputs), [_output(task)])
        _rename(graph, {_output(task): LOGITS, **dict(zip(head.traced_inputs, head.inputs, strict=True))})
        onnx.checker.check_model(graph)
        onnx.save(graph, files[task])


def trained_heads(model: MultitaskModel) -> dict[str, TrainedHead]:
    """A model's heads by task, each behind its own path through the sharing layer."""
    return {
        name: TrainedHead(module=model.path(name), pooling=None if pooling is None else Pooling(pooling))
        for name, pooling in model.poolings.items()
    }


def describe_head(task: TaskConfig, kind: Kind, *, default_pooling: str, shared: str | None = None) -> str:
    """A head's architecture for people: ``mmoe (4 experts) + attention pooling + mlp [256]``.

    Args:
        task: Its section of the configuration.
        kind: The task's.
        default_pooling: Of a task that names none.
        shared: What it reads through the sharing layer, if it does.
    """
    head = task.head
    parts = [] if shared is None else [shared]
    if isinstance(head, CustomHeadConfig):
        return " + ".join([*parts, head.class_name])
    pooling = task.pooling or default_pooling
    if isinstance(head, SubEncoderHeadConfig):
        parts.append(f"{head.layers} transformer layer{'s' if head.layers > 1 else ''}")
    if not kind.is_token_level:
        if isinstance(head, SubEncoderHeadConfig) or pooling == "attention":
            parts.append(f"{pooling} pooling")
        elif pooling in LAYER_MIXES:
            parts.append("layer mix")
    if kind.bi_encoder:
        parts.append(combine_of(task))
    return " + ".join([*parts, _describe_body(head)])


def _describe_body(head: LinearHeadConfig | MlpHeadConfig | SubEncoderHeadConfig | HfHeadConfig) -> str:
    if isinstance(head, HfHeadConfig):
        return head.class_name
    hidden = () if isinstance(head, LinearHeadConfig) else head.hidden
    return f"mlp {list(hidden)}" if hidden else "linear"


def _export_together(
    heads: Mapping[str, TrainedHead], file: Path, *, hidden_size: int, num_layers: int
) -> None:
    export_graph(
        AllHeads(heads),
        file,
        inputs=_examples(hidden_size, num_layers),
        outputs=[_output(task) for task in heads],
        dynamic_shapes=_dynamic_shapes(),
    )


def _named(heads: Mapping[str, TrainedHead], file: Path, hidden_size: int, num_layers: int) -> ExportError:
    """Which heads are to blame, once exporting them together has failed."""
    reasons = []
    for task, head in heads.items():
        try:
            _export_together({task: head}, file, hidden_size=hidden_size, num_layers=num_layers)
        except Exception as error:
            reasons.append(f"the head of task {task!r} cannot be written as a graph: {_first_line(error)}")
    file.unlink(missing_ok=True)
    return ExportError("; ".join(reasons) or "The heads cannot be written as graphs together.")


def _first_line(error: BaseException) -> str:
    """The reason beneath the exporter's own report, which is many lines of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    first, *_ = [*str(error).strip().splitlines(), ""]
    return f"{type(error).__name__}: {first}"


def _examples(hidden_size: int, num_layers: int) -> dict[str, Tensor]:
    """An example of every input of the joint trace."""
    layers = [(), (), (), *[(num_layers + 1,)] * 3]
    vectors = [
        torch.zeros(EXAMPLE_BATCH, *each, hidden_size) for each in layers
    ]  # one tensor would be one input
    segment_ids = torch.tensor(EXAMPLE_SEGMENTS)
    states = torch.zeros(*segment_ids.shape, hidden_size)
    return dict(zip(TRACED_INPUTS, (*vectors, states, segment_ids), strict=True))


def _dynamic_shapes() -> dict[str, dict[int, torch.export.Dim]]:
    batch_size, rows, row_len = map(torch.export.Dim, ("batch_size", "rows", "row_len"))
    return {name: {0: rows, 1: row_len} if name in STATES else {0: batch_size} for name in TRACED_INPUTS}


def _output(task: str) -> str:
    return f"{task}.{LOGITS}"


def _rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename a graph's inputs and outputs, where they are named and where they are read."""
    for node in model.graph.node:
        node.input[:] = [str(names.get(name, name)) for name in node.input]
        node.output[:] = [str(names.get(name, name)) for name in node.output]
    for entry in (*model.graph.input, *model.graph.output):
        entry.name = str(names.get(entry.name, entry.name))
