"""Sizes of the tasks → probability of each. Pure functions; sizes count examples, not batches."""

import math
from collections.abc import Mapping

Probabilities = dict[str, float]


def uniform(sizes: Mapping[str, int]) -> Probabilities:
    """``p_i = 1/n``."""
    return dict.fromkeys(sizes, 1 / len(sizes))


def power(sizes: Mapping[str, int], exponent: float) -> Probabilities:
    """``p_i ∝ N_i^α``: 1 is proportional to size, 0.5 to its square root, 0 uniform.

    Args:
        sizes: Examples of each task, each at least one.
        exponent: α in [0, 1].
    """
    # Scaled by the largest size first: the ratio decides, and no power overflows.
    largest = max(sizes.values())
    powers = {name: (size / largest) ** exponent for name, size in sizes.items()}
    total = sum(powers.values())
    return {name: weight / total for name, weight in powers.items()}


def tempered(sizes: Mapping[str, int], temperature: float, *, cap: int | None = None) -> Probabilities:
    """``p_i ∝ min(N_i, cap)^(1/T)``: T = 1 is proportional to size, T → ∞ uniform.

    "Examples-proportional mixing" with its artificial limit, and "temperature-scaled mixing", of T5 (Raffel
    et al. 2020, https://arxiv.org/abs/1910.10683, section 3.5.2).

    Args:
        sizes: Examples of each task.
        temperature: T, at least 1.
        cap: Size beyond which a task counts as no larger; none by default.
    """
    capped = {name: min(size, cap) if cap is not None else size for name, size in sizes.items()}
    return power(capped, 1 / temperature)


def annealed_to_uniform(
    sizes: Mapping[str, int], epoch: int, *, epochs: int, final_exponent: float = 0.2
) -> Probabilities:
    """``p_i ∝ N_i^α`` with ``α = 1 − (1 − α_E)(e − 1)/(E − 1)``: from proportional to nearly uniform.

    Annealed sampling of BERT and PALs (Stickland and Murray 2019, https://arxiv.org/abs/1902.02671), where
    1 − α_E = 0.8 and an "epoch" is a fixed number of steps.

    Args:
        sizes: Examples of each task.
        epoch: e, counted from 1 to E.
        epochs: E. With a single one there is nothing to anneal, and α stays 1.
        final_exponent: α_E.
    """
    progress = (epoch - 1) / (epochs - 1) if epochs > 1 else 0.0
    return power(sizes, 1 - (1 - final_exponent) * progress)


def annealed_to_size(sizes: Mapping[str, int], epoch: int, *, reach: int) -> Probabilities:
    """``p_i = a·N_i/ΣN + (1 − a)/n`` with ``a = min(1, e/T)``: uniform first, proportional from epoch T on.

    Args:
        sizes: Examples of each task.
        epoch: e, counted from 0.
        reach: T, at least 1.
    """
    share = min(1.0, epoch / reach)
    by_size, equal = power(sizes, 1.0), uniform(sizes)
    return {name: share * by_size[name] + (1 - share) * equal[name] for name in sizes}


def check_probabilities(probabilities: Mapping[str, float]) -> None:
    """Refuse what is no distribution.

    Raises:
        ValueError: Naming what was found.
    """
    if any(not 0 <= p <= 1 for p in probabilities.values()) or not math.isclose(
        sum(probabilities.values()), 1, abs_tol=1e-6
    ):
        raise ValueError(
            "Parameter `probabilities` should hold numbers in [0, 1] that sum to 1. Found "
            f"{dict(probabilities)} with sum {sum(probabilities.values()):g}."
        )
