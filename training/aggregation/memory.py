"""What stateful aggregators remember, saved and restored: TorchJD keeps most of it outside ``state_dict``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchjd.aggregation import PCD, Aggregator, ExcessMTL, GradVac, NashMTL


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """Where an aggregator's memory is.

    Attributes:
        attributes: Of its weighting.
        wake: Makes the weighting accept the restored attributes as its own.
    """

    attributes: tuple[str, ...]
    wake: Callable[[Any], None]


def _wake_gradvac(weighting: Any) -> None:  # noqa: ANN401 - TorchJD's private names
    phi = weighting._phi_t
    weighting._state_key = None if phi is None else (len(phi), phi.dtype)


def _wake_pcd(weighting: Any) -> None:  # noqa: ANN401
    ema = weighting._sq_norm_ema
    weighting._state_key = None if ema is None else len(ema)


def _wake_excess_mtl(weighting: Any) -> None:  # noqa: ANN401
    sums = weighting._sq_grad_sum
    weighting._state_key = None if sums is None else (*sums.shape, sums.dtype, sums.device)


def _wake_nash_mtl(weighting: Any) -> None:  # noqa: ANN401
    if weighting.step > 0:  # which it takes as a sign that its optimisation problem exists
        weighting._init_optim_problem()


_MEMORIES: Mapping[type[Aggregator], _Memory] = {
    ExcessMTL: _Memory(
        attributes=("_weights", "_sq_grad_sum", "_initial_w", "_warmup_w_sum", "_n_steps"),
        wake=_wake_excess_mtl,
    ),
    GradVac: _Memory(attributes=("_phi_t",), wake=_wake_gradvac),
    NashMTL: _Memory(attributes=("step", "prvs_alpha", "normalization_factor"), wake=_wake_nash_mtl),
    PCD: _Memory(attributes=("_sq_norm_ema", "_n_steps"), wake=_wake_pcd),
}


def remember(aggregator: Aggregator) -> dict[str, Any]:
    """What the aggregator's next answer depends on beside the matrix; empty if nothing."""
    memory = _MEMORIES.get(type(aggregator))
    if memory is None:
        return {}
    weighting = _weighting(aggregator)
    return {name: _copied(getattr(weighting, name)) for name in memory.attributes}


def recall(aggregator: Aggregator, state: Mapping[str, Any], *, device: torch.device) -> None:
    """Put back what ``remember`` gave."""
    memory = _MEMORIES.get(type(aggregator))
    if memory is None:
        return
    weighting = _weighting(aggregator)
    for name in memory.attributes:
        before = getattr(weighting, name)
        value = state[name].to(device) if isinstance(state[name], Tensor) else state[name]
        setattr(weighting, name, value.cpu().numpy() if isinstance(before, np.ndarray) else value)
    memory.wake(weighting)


def _weighting(aggregator: Aggregator) -> nn.Module:
    weighting: nn.Module = getattr(aggregator, "gramian_weighting", None) or aggregator.weighting
    return weighting


def _copied(value: object) -> object:
    """A copy, since TorchJD updates in place; of a NumPy array as a tensor, which ``torch.load`` trusts."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value.clone() if isinstance(value, Tensor) else value
