"""How one activation tensor becomes uint8: one scale for all of it, and what is done about outliers.

A transformer has a few channels that are many times larger than all others (Dettmers et al. 2022,
2208.07339); with one scale for the whole tensor they leave the others a handful of steps. Scales per
token would help, but cost a pass over the tensor each (and per tensor and batch, as in dynamic
quantisation, they make a vector depend on its company). Two remedies, by what they cost:

- *divide* the channels by a vector and multiply the weights' rows by it (SmoothQuant, Xiao et al. 2022,
  2211.10438), only where a channel exceeds a cap, so that no other row of the weights grows: one pass
  over the activation;
- *set apart* the outlier channels as a thin float32 product beside the integer one (as LLM.int8() does,
  but with channels chosen once, by calibration): one pass over the result.

So a wide input of a narrow product (the second one of a feed-forward block) has its outliers set apart,
and others divided.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.precisions.ranges import ChannelRange

FloatArray: TypeAlias = NDArray[np.float32]

LEVELS = 255
"""Steps of uint8."""
OUTLIER_SHARE = 48
"""One channel of so many may be an outlier: 8 of MiniLM's 384."""
OUTLIER_RATIO = 2.0
"""By how much the largest channel must exceed the cap before anything is done."""
LARGEST_DIVISOR = 1e6
LEAST_SCALE = 1e-30
"""Keeps a tensor that is zero everywhere, or nearly, from a scale of 0."""


class Outliers(StrEnum):
    """What is done about channels beyond the cap."""

    DIVIDED = "divided"
    SET_APART = "set_apart"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPlan:
    """One tensor's quantisation: ``q = round(x / divisors / scale) + zero_point``, saturating.

    Attributes:
        scale: Of one step.
        zero_point: What 0 becomes, 0 to 255.
        divisors: At least 1; None where nothing is divided. Shape ``(num_channels,)``.
        apart: Channels computed in float32, ascending; none in most tensors.
    """

    scale: np.float32
    zero_point: np.uint8
    divisors: FloatArray | None
    apart: NDArray[np.int64]


def plan_activation(found: ChannelRange, *, outliers: Outliers) -> ActivationPlan:
    """Decide scale, zero point and what becomes of outliers.

    Args:
        found: On calibration texts.
        outliers: What may be done about them.
    """
    peaks = found.peaks
    num_outliers = min(max(1, len(peaks) // OUTLIER_SHARE), len(peaks) - 1)
    cap = np.sort(peaks)[::-1][num_outliers]
    low, high = found.low, found.high
    divisors, apart = None, np.array([], dtype=np.int64)
    if outliers is not Outliers.LEFT and cap > 0 and peaks.max() > OUTLIER_RATIO * cap:
        if outliers is Outliers.DIVIDED:
            ratios = peaks.astype(np.float64) / cap
            divisors = ratios.clip(1, LARGEST_DIVISOR).astype(np.float32)
            low, high = low / divisors, high / divisors
        else:
            apart = np.flatnonzero(peaks > cap).astype(np.int64)
            low, high = np.delete(low, apart), np.delete(high, apart)
    return _plan(float(low.min()), float(high.max()), divisors, apart)


def choose_remedy(num_channels: int, num_results: int, *, is_shared: bool) -> Outliers:
    """The cheaper remedy for a tensor.

    Args:
        num_channels: Width of the tensor: what one pass over it costs.
        num_results: Width of all results of the products that read it.
        is_shared: Whether one of their weight matrices serves other products too (ALBERT's layers do):
            scaled for each, it would be stored once for each.
    """
    if is_shared:
        return Outliers.LEFT
    return Outliers.DIVIDED if num_channels <= num_results else Outliers.SET_APART


def _plan(low: float, high: float, divisors: FloatArray | None, apart: NDArray[np.int64]) -> ActivationPlan:
    low, high = min(low, 0.0), max(high, 0.0)  # zero has a level of its own
    scale = np.float32(max((high - low) / LEVELS, LEAST_SCALE))
    zero_point = np.uint8(np.clip(round(-low / float(scale)), 0, LEVELS))
    return ActivationPlan(scale=scale, zero_point=zero_point, divisors=divisors, apart=apart)
