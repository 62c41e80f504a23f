"""Losses of the tasks → one loss.

    name             weight of a task's loss                                  from
    constant         1: the plain weighted sum, the baseline
    uncertainty      ½·exp(−s_i), s_i learned                                 Kendall 2018, TorchJD's UW
    imtl_l           exp(s_i), s_i learned                                    Liu 2021, TorchJD
    dwa              by how slowly the loss falls                             Liu 2019
    gradnorm         learned, so that tasks train at similar rates            Chen 2018
    dtp              −(1 − κ)^γ log κ of the score κ                          Guo 2018
    random           softmax of a normal draw                                 Lin 2022, TorchJD's Random
    geometric_mean   the geometric mean of the losses                         Chennupati 2019, TorchJD
    stch             smooth Tchebycheff: nearly the largest loss              Lin 2024, TorchJD
    famo             equal relative progress of all losses                    Liu 2023, TorchJD
    cosmos, pbi      a sum that is drawn to equal losses                      TorchJD

A task's ``weight`` and the loss scale come before all of them.
"""

from training.balancing.base import Balancer, StepObservation
from training.balancing.methods import BalancerFactory
from training.balancing.scale import FixedScale, InitialScale, LossScale
from training.balancing.weighing import LossWeighing

__all__ = [
    "Balancer",
    "BalancerFactory",
    "FixedScale",
    "InitialScale",
    "LossScale",
    "LossWeighing",
    "StepObservation",
]
