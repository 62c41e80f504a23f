"""TorchJD's aggregators by their names in the YAML file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torchjd.aggregation import (
    IMTLG,
    MGDA,
    PCD,
    Aggregator,
    AlignedMTL,
    CAGrad,
    DualProj,
    ExcessMTL,
    FairGrad,
    GradDrop,
    GradVac,
    Mean,
    NashMTL,
    PCGrad,
    Random,
    Sum,
    UPGrad,
)

from training.aggregation.conflict_free import ConflictFree


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationMethod:
    """How an aggregator is built.

    Attributes:
        build: Takes ``num_tasks`` and the method's parameters.
        needs_every_task: Whether it remembers tasks by their row, so that every step must have all of them.
    """

    build: Callable[..., Aggregator]
    needs_every_task: bool = False


def _plain(aggregator: Callable[..., Aggregator]) -> Callable[..., Aggregator]:
    return lambda _num_tasks, **parameters: aggregator(**parameters)


METHODS: Mapping[str, AggregationMethod] = {
    "aligned_mtl": AggregationMethod(build=_plain(AlignedMTL)),
    "cagrad": AggregationMethod(build=_plain(CAGrad)),
    "conflict_free": AggregationMethod(build=_plain(ConflictFree)),
    "dualproj": AggregationMethod(build=_plain(DualProj)),
    "excess_mtl": AggregationMethod(build=_plain(ExcessMTL), needs_every_task=True),
    "fairgrad": AggregationMethod(build=_plain(FairGrad)),
    "graddrop": AggregationMethod(build=_plain(GradDrop)),
    "gradvac": AggregationMethod(build=_plain(GradVac), needs_every_task=True),
    "imtl_g": AggregationMethod(build=_plain(IMTLG)),
    "mean": AggregationMethod(build=_plain(Mean)),
    "mgda": AggregationMethod(build=_plain(MGDA)),
    "nash_mtl": AggregationMethod(
        build=lambda num_tasks, **parameters: NashMTL(num_tasks, **parameters), needs_every_task=True
    ),
    "pcd": AggregationMethod(build=_plain(PCD), needs_every_task=True),
    "pcgrad": AggregationMethod(build=_plain(PCGrad)),
    "random": AggregationMethod(build=_plain(Random)),
    "sum": AggregationMethod(build=_plain(Sum)),
    "upgrad": AggregationMethod(build=_plain(UPGrad)),
}


def build_aggregator(name: str, num_tasks: int, parameters: Mapping[str, Any] | None = None) -> Aggregator:
    """Build an aggregator.

    Args:
        name: One of ``METHODS``.
        num_tasks: Rows of the matrix.
        parameters: The method's own, by the names of its TorchJD class.
    """
    return METHODS[name].build(num_tasks, **(parameters or {}))
