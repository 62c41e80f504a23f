"""What a task is during training: ``T_i = {p_i(x), p_i(y|x), H_i, L_i}`` without its data and its head."""

from dataclasses import dataclass

from training.kinds.base import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        name: As in the YAML file.
        kind: Reads its rows, and knows its loss and its metrics.
        weight: Factor of the loss.
    """

    name: str
    kind: Kind
    weight: float = 1.0
