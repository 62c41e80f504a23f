"""How gates are used: which experts they weigh how much, and how sure they are of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.sharing.gates import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class GateUse:
    """One gate over many vectors.

    Attributes:
        weights: Mean weight of each expert; they sum to one.
        entropy: Mean entropy of the weights over that of even ones. 1 for even weights, 0 where every vector
            goes to one expert: a gate that has collapsed, if it is the same one.
    """

    weights: dict[str, float]
    entropy: float


@contextmanager
def watched_gates(layer: nn.Module | None) -> Iterator[dict[str, GateUse]]:
    """Watch every gate of a layer that has a choice.

    Of token states, padding counts as any token does.

    Args:
        layer: Runs inside the context. None has no gates.

    Yields:
        By the gates' names in the layer, empty until the context ends. A gate that was not run is left out.
    """
    tallies = {
        name: _Tally(gate)
        for name, gate in (layer.named_modules() if layer is not None else ())
        if isinstance(gate, Gate) and len(gate.selected) > 1
    }
    found: dict[str, GateUse] = {}
    try:
        yield found
    finally:
        for tally in tallies.values():
            tally.handle.remove()
    found |= {name: tally.use() for name, tally in tallies.items() if tally.count > 0}


class _Tally:
    def __init__(self, gate: Gate) -> None:
        self._selected = gate.selected
        self._weights = torch.zeros(len(gate.selected), dtype=torch.float64)
        self._entropy = 0.0
        self.count = 0
        self.handle = gate.register_forward_hook(self._add)

    def _add(self, _module: nn.Module, _inputs: object, weights: Tensor) -> None:
        rows = weights.detach().flatten(0, -2).double().cpu()
        self._weights += rows.sum(dim=0)
        self._entropy += float(torch.special.entr(rows).sum())
        self.count += len(rows)

    def use(self) -> GateUse:
        means = (self._weights / self.count).tolist()
        return GateUse(
            weights=dict(zip(self._selected, means, strict=True)),
            entropy=self._entropy / self.count / math.log(len(self._selected)),
        )
