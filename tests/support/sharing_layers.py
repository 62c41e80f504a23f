"""Every sharing layer at a tiny size, by its name in the configuration."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from training.sharing import (
    AsymmetricSharing,
    CrossStitch,
    CustomisedSharing,
    MixtureOfExperts,
    Modulated,
    MultiGateMixtureOfExperts,
    MultiLevelMixtureOfExperts,
    OneHot,
    ProgressiveLayeredExtraction,
    SharedBottom,
    SharingLayer,
    Sluice,
    SoftSharing,
    TowerShape,
)

TASKS = ("a", "b", "c")
IN = 5
SHAPE = TowerShape(in_features=IN, widths=(4, 6))
EVEN = TowerShape(in_features=IN, widths=(6, 6))

BUILDERS: Mapping[str, Callable[[], SharingLayer]] = {
    "shared_bottom": partial(SharedBottom, TASKS, SHAPE),
    "one_hot": partial(OneHot, TASKS, SHAPE),
    "additive": partial(Modulated, TASKS, SHAPE, scales=False, shifts=True),
    "multiplicative": partial(Modulated, TASKS, SHAPE, scales=True, shifts=False),
    "film": partial(Modulated, TASKS, SHAPE, scales=True, shifts=True),
    "moe": partial(MixtureOfExperts, TASKS, SHAPE, experts=3),
    "mmoe": partial(MultiGateMixtureOfExperts, TASKS, SHAPE, experts=3),
    "ml_mmoe": partial(MultiLevelMixtureOfExperts, TASKS, SHAPE, levels=3, experts=2),
    "cgc": partial(ProgressiveLayeredExtraction, TASKS, SHAPE, task_experts=2, shared_experts=1),
    "ple": partial(ProgressiveLayeredExtraction, TASKS, SHAPE, levels=3, task_experts=1, shared_experts=2),
    "cross_stitch": partial(CrossStitch, TASKS, SHAPE, own=0.9, rate_factor=10.0),
    "sluice": partial(Sluice, TASKS, EVEN, own=0.9, penalty=0.1, rate_factor=10.0),
    "asymmetric": partial(
        AsymmetricSharing, TASKS, SHAPE, reads={"a": ["c"], "b": ["a", "c"]}, fusion="concat"
    ),
    "customised": partial(CustomisedSharing, TASKS, SHAPE, fusion="concat"),
    "soft": partial(SoftSharing, TASKS, SHAPE, penalty=0.1),
}
GATED = ("moe", "mmoe", "ml_mmoe", "cgc", "ple")
MIXED = ("cross_stitch", "sluice")
NO_TASK_JOINS = ("one_hot", "ple", "cross_stitch", "sluice")


def build(name: str, *, seed: int = 0) -> SharingLayer:
    """A layer in evaluation mode, with every parameter drawn: zeros and ones would hide mistakes."""
    torch.manual_seed(seed)
    layer = BUILDERS[name]().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.7)
    return layer


def inputs(*shape: int, seed: int = 1) -> Tensor:
    """Features ``(*shape, IN)``."""
    return torch.randn(*shape, IN, generator=torch.Generator().manual_seed(seed))
