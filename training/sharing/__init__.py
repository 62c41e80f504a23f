"""Sharing architectures above the encoder's output: between what the encoder gives and the tasks' heads.

    ==============================  =========================================  ============================
    layer                           a task's features                          other tasks meet in
    ==============================  =========================================  ============================
    ``SharedBottom``                one network                                all of it
    ``OneHot``, ``Modulated``       one network that is told the task          all of it
    ``MixtureOfExperts``            experts weighed by one gate                all of it
    ``MultiGateMixtureOfExperts``   experts weighed by its own gate            the experts
    ``MultiLevelMixtureOfExperts``  experts over gated experts                 experts and inner gates
    ``ProgressiveLayeredExtraction``  own and shared experts; CGC, PLE         shared experts and gates
    ``CrossStitch``, ``Sluice``     own column, mixed with the others'         every column
    ``AsymmetricSharing``           own tower and declared others              the towers that are read
    ``CustomisedSharing``           own tower and a shared one                 the shared one
    ``SoftSharing``                 own tower                                  a penalty
    ==============================  =========================================  ============================

A layer sees the encoder's output alone: a text with k tasks still costs one encoder pass.
"""

from training.sharing.base import SHARED, SharingLayer
from training.sharing.conditioning import Modulated, OneHot, SharedBottom
from training.sharing.cross_stitch import CrossStitch
from training.sharing.fused import FUSIONS, AsymmetricSharing, CustomisedSharing
from training.sharing.mixtures import MixtureOfExperts, MultiGateMixtureOfExperts, MultiLevelMixtureOfExperts
from training.sharing.paths import SharedPath, users_of
from training.sharing.progressive import ProgressiveLayeredExtraction
from training.sharing.sluice import Sluice
from training.sharing.soft import SoftSharing
from training.sharing.towers import TowerShape

__all__ = [
    "FUSIONS",
    "SHARED",
    "AsymmetricSharing",
    "CrossStitch",
    "CustomisedSharing",
    "MixtureOfExperts",
    "Modulated",
    "MultiGateMixtureOfExperts",
    "MultiLevelMixtureOfExperts",
    "OneHot",
    "ProgressiveLayeredExtraction",
    "SharedBottom",
    "SharedPath",
    "SharingLayer",
    "Sluice",
    "SoftSharing",
    "TowerShape",
    "users_of",
]
