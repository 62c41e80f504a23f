"""An exported encoder → its graphs in reduced precisions, as far as dev allows."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from export.entries import calibration_of
from export.errors import ExportError
from export.golden import check_golden
from export.manifest import (
    EncoderEntry,
    EncoderGraph,
    GoldenExample,
    Precision,
    PrecisionReport,
    PrecisionTable,
    TaskEntry,
)
from export.precisions.budget import DEFAULT_BUDGET, Verdict, judge
from export.precisions.dev import TaskGraph, dev_logits
from export.precisions.fp16 import convert_fp16
from export.precisions.int8 import quantize_int8
from export.precisions.ranges import measure_ranges
from export.precisions.texts import calibration_batches, dev_rows
from export.sessions import Graph
from training.assembly.trained import TrainedModel
from training.examples import EncodedExamples

DEFAULT_MAX_ROWS = 2048
ROOM = 2.0
"""Tolerance of a reduced graph, as a multiple of what its golden examples deviate by at export: other
processors round elsewhere."""
LEAST_TOLERANCE = 0.01

REDUCED = (Precision.INT8, Precision.FP16)

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionWishes:
    """What to try.

    Attributes:
        precisions: Besides fp32.
        budget: Points of a task's primary dev metric that may be lost.
        max_rows: Dev rows of a task that are read at most.
    """

    precisions: tuple[Precision, ...] = ()
    budget: float = DEFAULT_BUDGET
    max_rows: int = DEFAULT_MAX_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """A bundle in its staging folder, complete but for its manifest.

    Attributes:
        trained: What it was made from.
        folder: With the fp32 graphs.
        encoder: The manifest's entry.
        tasks: Likewise.
        golden: Its golden examples.
        tokenizer_json: Its tokenizer.
    """

    trained: TrainedModel
    folder: Path
    encoder: EncoderEntry
    tasks: Mapping[str, TaskEntry]
    golden: Sequence[GoldenExample]
    tokenizer_json: str


def add_precisions(
    exported: ExportedModel, wishes: PrecisionWishes, *, report: Report = lambda _: None
) -> tuple[EncoderEntry, PrecisionTable]:
    """Make each asked graph, measure every task's dev metrics with it, delete it if it is not good enough.

    Returns:
        The encoder's entry with the kept graphs, and the evidence, which goes into manifest and model card.

    Raises:
        ExportError: If data cannot be read, or a graph cannot be made.
    """
    heads = {name: Graph(exported.folder / task.head.file) for name, task in exported.tasks.items()}
    rows = dev_rows(exported.trained, max_rows=wishes.max_rows)
    graphs = dict(exported.encoder.graphs)
    source = exported.folder / graphs[Precision.FP32].file
    stages = iter(precision_stages(wishes))
    report(next(stages))
    fp32 = _metrics(exported, Graph(source), heads, rows)
    reports = {Precision.FP32: PrecisionReport(is_kept=True, reason="the reference", metrics=fp32)}
    for precision in wishes.precisions:
        report(next(stages))
        file = f"{source.stem}.{precision}.onnx"
        _write(exported, precision, exported.folder / file)
        graph = Graph(exported.folder / file)
        metrics = _metrics(exported, graph, heads, rows)
        verdict = _judge(exported, fp32, metrics, wishes.budget)
        reports[precision] = PrecisionReport(is_kept=verdict.is_kept, reason=verdict.reason, metrics=metrics)
        if verdict.is_kept:
            graphs[precision] = EncoderGraph(file=file, tolerance=_tolerance(exported, graph, heads))
        else:
            (exported.folder / file).unlink()
    return (
        exported.encoder.model_copy(update={"graphs": graphs}),
        PrecisionTable(
            budget=wishes.budget, rows={name: len(each) for name, each in rows.items()}, reports=reports
        ),
    )


def precision_stages(wishes: PrecisionWishes) -> tuple[str, ...]:
    """What ``add_precisions`` reports, in order; nothing if nothing is wished for."""
    measured = (Precision.FP32, *wishes.precisions) if wishes.precisions else ()
    return tuple(f"measuring {precision} on dev" for precision in measured)


def _write(exported: ExportedModel, precision: Precision, file: Path) -> None:
    model = onnx.load(exported.folder / exported.encoder.graphs[Precision.FP32].file)
    match precision:
        case Precision.INT8:
            batches = calibration_batches(exported.trained, exported.encoder)
            reduced = quantize_int8(model, measure_ranges(model, batches, exported.encoder))
        case Precision.FP16:
            reduced = convert_fp16(model)
        case Precision.FP32:
            raise ExportError("fp32 is exported anyway; ask for int8 or fp16")
    onnx.save(reduced, file)


def _metrics(
    exported: ExportedModel,
    graph: Graph,
    heads: Mapping[str, Graph],
    rows: Mapping[str, EncodedExamples],
) -> dict[str, dict[str, float]]:
    metrics = {}
    for name, examples in rows.items():
        kind, entry = exported.trained.tasks[name].kind, exported.tasks[name]
        task = TaskGraph(head=heads[name], pooling=entry.pooling, is_token_level=entry.kind.is_token_level)
        logits = dev_logits(exported.encoder, graph, task, examples)
        metrics[name] = kind.measure(logits, examples, calibration_of(exported.trained, name))
    return metrics


def _judge(
    exported: ExportedModel,
    fp32: Mapping[str, Mapping[str, float]],
    reduced: Mapping[str, Mapping[str, float]],
    budget: float,
) -> Verdict:
    primary = {name: task.kind.metrics[0] for name, task in exported.trained.tasks.items()}
    return judge(fp32, reduced, primary=primary, budget=budget)


def _tolerance(exported: ExportedModel, graph: Graph, heads: Mapping[str, Graph]) -> float:
    deviations = check_golden(
        exported.encoder,
        exported.tasks,
        exported.golden,
        exported.tokenizer_json,
        encoder_graph=graph,
        head_graphs=heads,
        tolerance=sys.float_info.max,  # to know them; only what is no number fails
    )
    return max(LEAST_TOLERANCE, ROOM * max(deviations.values()))
