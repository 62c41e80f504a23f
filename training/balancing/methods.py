"""The balancers of a run, by their names in the YAML file."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchjd.scalarization import COSMOS, IMTLL, PBI, STCH, UW, GeometricMean, Random

from training.balancing.base import Balancer, Losses, Weights
from training.balancing.dtp import DTP
from training.balancing.dwa import DWA
from training.balancing.gradnorm import GradNorm
from training.balancing.scalarizers import FamoBalancer, LearnedScaleBalancer, ScalarizerBalancer


class ConstantBalancer(Balancer):
    """Leaves every loss as it is."""

    def weigh(self, losses: Losses) -> Weights:
        """1 each."""
        return dict.fromkeys(losses, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerFactory:
    """Builds the balancers of one run.

    Attributes:
        tasks: Names, in the order of the file.
        epoch_steps: Optimizer steps of a pass over all tasks' examples.
    """

    tasks: Sequence[str]
    epoch_steps: int

    def constant(self) -> Balancer:
        """The plain weighted sum."""
        return ConstantBalancer()

    def uncertainty(self, *, learning_rate: float) -> Balancer:
        """``Σ ½·exp(−s_i)·L_i + ½·s_i`` with learned ``s_i = log σ_i²``."""
        return LearnedScaleBalancer(self.tasks, UW, learning_rate=learning_rate)

    def imtl_l(self, *, learning_rate: float) -> Balancer:
        """``Σ exp(s_i)·L_i − s_i`` with learned ``s_i``."""
        return LearnedScaleBalancer(self.tasks, IMTLL, learning_rate=learning_rate)

    def dwa(self, *, temperature: float, epoch_steps: int | None = None) -> Balancer:
        """Dynamic Weight Average."""
        return DWA(self.tasks, temperature=temperature, epoch_steps=epoch_steps or self.epoch_steps)

    def gradnorm(self, *, alpha: float, learning_rate: float) -> Balancer:
        """GradNorm."""
        return GradNorm(self.tasks, alpha=alpha, learning_rate=learning_rate)

    def dtp(self, *, gamma: float, smoothing: float) -> Balancer:
        """Dynamic Task Prioritization."""
        return DTP(self.tasks, gamma=gamma, smoothing=smoothing)

    def random(self) -> Balancer:
        """Random loss weighting."""
        return ScalarizerBalancer(self.tasks, Random())

    def geometric_mean(self) -> Balancer:
        """Geometric loss strategy."""
        return ScalarizerBalancer(self.tasks, GeometricMean())

    def stch(self, *, mu: float) -> Balancer:
        """Smooth Tchebycheff, with equal preferences and the ideal point 0."""
        return ScalarizerBalancer(self.tasks, STCH(mu))

    def famo(self, *, learning_rate: float, weight_decay: float) -> Balancer:
        """Fast adaptive multitask optimisation."""
        return FamoBalancer(self.tasks, learning_rate=learning_rate, weight_decay=weight_decay)

    def cosmos(self, *, penalty: float) -> Balancer:
        """``mean_i L_i − λ·cos(L, 1)``."""
        return ScalarizerBalancer(self.tasks, COSMOS(penalty, self._equal()))

    def pbi(self, *, theta: float) -> Balancer:
        """Distance along the diagonal of the losses, and θ times the distance from it."""
        return ScalarizerBalancer(self.tasks, PBI(theta, self._equal()))

    def _equal(self) -> torch.Tensor:
        return torch.full((len(self.tasks),), 1 / len(self.tasks))
