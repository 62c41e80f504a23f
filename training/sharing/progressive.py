"""Experts of the tasks beside shared ones: CGC, and PLE, which stacks it."""

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from training.sharing.base import SHARED, SharingLayer
from training.sharing.gates import Gate, weighted_sum
from training.sharing.mixtures import expert_names
from training.sharing.towers import TowerShape


class ExtractionLevel(nn.Module):
    """One level: experts of every owner, and gates over them.

    An owner is a task or ``SHARED``. A task's gate selects from its own and the shared experts, the shared
    gate from those of all owners.

    Args:
        owners: The tasks and ``SHARED``.
        shape: Of an expert.
        task_experts: Of each task.
        shared_experts: How many.
        expert_dropout: As in ``Gate``.
        has_shared_gate: False for the top level: no task reads what it would give.
    """

    def __init__(
        self,
        owners: Sequence[str],
        shape: TowerShape,
        *,
        task_experts: int,
        shared_experts: int,
        expert_dropout: float,
        has_shared_gate: bool,
    ) -> None:
        super().__init__()
        counts = {owner: shared_experts if owner == SHARED else task_experts for owner in owners}
        self.experts = nn.ModuleDict(
            {owner: nn.ModuleList(shape.build() for _ in range(count)) for owner, count in counts.items()}
        )
        names = {owner: expert_names(count, owner.lstrip("_")) for owner, count in counts.items()}
        self.gates = nn.ModuleDict(
            {
                owner: Gate(
                    shape.in_features,
                    [name for source in self.sources(owner) for name in names[source]],
                    expert_dropout=expert_dropout,
                )
                for owner in owners
                if has_shared_gate or owner != SHARED
            }
        )

    def sources(self, owner: str) -> tuple[str, ...]:
        """Whose experts an owner's gate selects from, in its order."""
        return tuple(self.experts) if owner == SHARED else (owner, SHARED)

    def forward(self, inputs: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        """What the wanted owners' gates give; experts that none of these selects from are not computed.

        Args:
            inputs: Of each owner's experts and gate. Each of shape ``(…, in_features)``.
            wanted: Owners.
        """
        needed = [owner for owner in self.experts if any(owner in self.sources(each) for each in wanted)]
        outputs = {owner: self._outputs(owner, inputs[owner]) for owner in needed}
        return {
            owner: weighted_sum(
                self.gates[owner](inputs[owner]),
                [output for source in self.sources(owner) for output in outputs[source]],
            )
            for owner in wanted
        }

    def _outputs(self, owner: str, features: Tensor) -> list[Tensor]:
        experts = cast("nn.ModuleList", self.experts[owner])
        return [expert(features) for expert in experts]


class ProgressiveLayeredExtraction(SharingLayer):
    """PLE; with one level CGC, customised gate control.

    Tang et al. 2020, https://doi.org/10.1145/3383313.3412236, eqs. 2-7. On level j the gate of task k and its
    experts read what its gate of level j − 1 gave; the shared gate and the shared experts read what the
    shared gate below gave. The shared gate selects from all experts of its level and exists on every level
    but the last: through it alone a task reaches the other tasks' experts. (LibMTL leaves it out.)

    Args:
        tasks: Names of the tasks.
        shape: Of an expert of the lowest level.
        levels: How many.
        task_experts: Of each task and level.
        shared_experts: Of each level.
        expert_dropout: As in ``Gate``.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        shape: TowerShape,
        *,
        levels: int = 1,
        task_experts: int = 1,
        shared_experts: int = 1,
        expert_dropout: float = 0.0,
    ) -> None:
        super().__init__(tasks, shape.out_features)
        self._experts = f"{task_experts} + {shared_experts} shared experts"
        self.owners = (*self.tasks, SHARED)
        if levels > 1:
            self.refuses_tasks = "its shared gates weigh the experts of every task"
        shapes = [shape, *[shape.on_top()] * (levels - 1)]
        self.levels = nn.ModuleList(
            ExtractionLevel(
                self.owners,
                each,
                task_experts=task_experts,
                shared_experts=shared_experts,
                expert_dropout=expert_dropout,
                has_shared_gate=number < levels - 1,
            )
            for number, each in enumerate(shapes)
        )

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        outputs = dict.fromkeys(self.owners, features)
        above = len(self.levels)
        for level in self.levels:
            above -= 1
            # The top level reads the task's vector and the shared one; below it, the shared gate reads all.
            wanted = (task,) if above == 0 else (task, SHARED) if above == 1 else self.owners
            outputs = level(outputs, wanted)
        return outputs[task]

    def describe(self, task: str) -> str:
        """``cgc (1 + 1 shared experts)``, ``ple (2 levels of 1 + 1 shared experts)``."""
        if len(self.levels) == 1:
            return f"cgc ({self._experts})"
        return f"ple ({len(self.levels)} levels of {self._experts})"
