"""Task gradients → one gradient of the shared parameters, by TorchJD's aggregators.

A row of the matrix ``J`` (``num_tasks × num_params``) is a task's gradient of the shared parameters. An
aggregator gives ``Δ = A(J)``, nearly always ``Jᵀw`` with weights that depend on the rows' inner products
``G = JJᵀ`` alone. Heads are no part of this: each keeps its own task's gradient.

    name          what it does                                                        paper
    sum           Σ g_i: the plain weighted sum, the baseline
    mean          the same, over K
    pcgrad        projects each g_i off every g_j it conflicts with, in random order   2001.06782
    gradvac       the same toward a running target of cosine                           2010.05874
    cagrad        the best worst task within a ball around the mean                    2110.14048
    mgda          the shortest vector of the rows' convex hull                         1810.04650
    graddrop      keeps one sign a parameter, drawn by purity                          2010.06808
    imtl_g        equal projections onto all gradients                                 IMTL (Liu 2021)
    aligned_mtl   rows made orthogonal, of equal length                                Aligned-MTL (2023)
    nash_mtl      the bargaining solution                                              2202.01017
    fairgrad      α-fair gains                                                         2402.15638
    upgrad        the mean of the rows projected onto the dual cone                    2406.16232
    dualproj      the mean, projected onto the dual cone                               GEM (2017)
    conflict_free equal cosines with all gradients: ConFIG                             2408.11104
    pcd           the first task's gradient, with progress left to the others          2606.29521
    excess_mtl    weights by the excess risk                                           ExcessMTL (2024)
    random        random weights: a litmus test                                        2111.10603

Not offered: TorchJD's Krum and trimmed mean (they guard against dishonest rows), MoDo and SDMGrad (they need
several independent batches of a task a step) and CR-MOGM (a modifier of others).
"""

from training.aggregation.combining import Combination, combine
from training.aggregation.memory import recall, remember
from training.aggregation.methods import METHODS, AggregationMethod, build_aggregator
from training.aggregation.task_gradients import TaskGradients

__all__ = [
    "METHODS",
    "AggregationMethod",
    "Combination",
    "TaskGradients",
    "build_aggregator",
    "combine",
    "recall",
    "remember",
]
