"""Mixtures of experts that all tasks share: with one gate, with one for each task, in levels."""

from collections.abc import Sequence

from torch import Tensor, nn

from training.sharing.base import SHARED, SharingLayer
from training.sharing.gates import Gate, weighted_sum
from training.sharing.towers import TowerShape


class MixtureOfExperts(SharingLayer):
    """``f(x) = Σ_i softmax(W·x)_i · f_i(x)``: one gate for all tasks (Jacobs et al. 1991; eq. 5 of Ma 2018).

    Args:
        tasks: Names of the tasks.
        shape: Of an expert.
        experts: How many.
        expert_dropout: As in ``Gate``.
    """

    def __init__(
        self, tasks: Sequence[str], shape: TowerShape, *, experts: int, expert_dropout: float = 0.0
    ) -> None:
        super().__init__(tasks, shape.out_features)
        self.experts = nn.ModuleList(shape.build() for _ in range(experts))
        self.gates = nn.ModuleDict(
            {
                owner: Gate(shape.in_features, expert_names(experts), expert_dropout=expert_dropout)
                for owner in self.gate_owners()
            }
        )

    def gate_owners(self) -> Sequence[str]:
        """Who has a gate."""
        return (SHARED,)

    def gate_of(self, task: str) -> nn.Module:
        """The gate that a task's features pass."""
        return self.gates[SHARED]

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        weights = self.gate_of(task)(features)
        return weighted_sum(weights, [expert(features) for expert in self.experts])

    def describe(self, task: str) -> str:
        """``moe (4 experts)``."""
        return f"moe ({len(self.experts)} experts)"


class MultiGateMixtureOfExperts(MixtureOfExperts):
    """MMoE: ``f^k(x) = Σ_i softmax(W_k·x)_i · f_i(x)``, a gate for each task.

    Ma et al. 2018, https://doi.org/10.1145/3219819.3220007, eqs. 6-8.

    Args:
        tasks: Names of the tasks.
        shape: Of an expert.
        experts: How many.
        expert_dropout: As in ``Gate``.
    """

    def gate_owners(self) -> Sequence[str]:
        """Every task."""
        return self.tasks

    def gate_of(self, task: str) -> nn.Module:
        """The task's own."""
        return self.gates[task]

    def describe(self, task: str) -> str:
        """``mmoe (4 experts)``."""
        return f"mmoe ({len(self.experts)} experts)"


class MultiLevelMixtureOfExperts(SharingLayer):
    """ML-MMoE: experts over experts, with gates that all share one selector, the layer's input.

    Tang et al. 2020 (https://doi.org/10.1145/3383313.3412236, §5.1.2) describe it in a sentence: experts of
    a higher level integrate what different gates of the lower level give, and all gates share the same
    selector. Here a gate below the top belongs to one expert above it; on top every task has its own. One
    level is MMoE.

    Args:
        tasks: Names of the tasks.
        shape: Of an expert of the lowest level.
        levels: How many.
        experts: Of each level.
        expert_dropout: As in ``Gate``.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        shape: TowerShape,
        *,
        levels: int,
        experts: int,
        expert_dropout: float = 0.0,
    ) -> None:
        super().__init__(tasks, shape.out_features)

        def gate() -> Gate:
            return Gate(shape.in_features, expert_names(experts), expert_dropout=expert_dropout)

        self.experts = nn.ModuleList(shape.build() for _ in range(experts))
        self.upper_levels = nn.ModuleList(
            _GatedLevel([gate() for _ in range(experts)], shape.on_top()) for _ in range(levels - 1)
        )
        self.gates = nn.ModuleDict({task: gate() for task in tasks})

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        outputs = [expert(features) for expert in self.experts]
        for level in self.upper_levels:
            outputs = level(features, outputs)
        return weighted_sum(self.gates[task](features), outputs)

    def describe(self, task: str) -> str:
        """``ml_mmoe (2 levels of 4 experts)``."""
        return f"ml_mmoe ({1 + len(self.upper_levels)} levels of {len(self.experts)} experts)"


class _GatedLevel(nn.Module):
    """Experts that each read what their own gate takes of the level below."""

    def __init__(self, gates: Sequence[Gate], shape: TowerShape) -> None:
        super().__init__()
        self.gates = nn.ModuleList(gates)
        self.experts = nn.ModuleList(shape.build() for _ in gates)

    def forward(self, selector: Tensor, below: Sequence[Tensor]) -> list[Tensor]:
        read = [weighted_sum(gate(selector), below) for gate in self.gates]
        return [expert(each) for expert, each in zip(self.experts, read, strict=True)]


def expert_names(count: int, owner: str = "") -> list[str]:
    """``expert_0``, ``expert_1`` and so on; with an owner, its name in place of ``expert``."""
    return [f"{owner or 'expert'}_{number}" for number in range(count)]
