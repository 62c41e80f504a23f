"""Each task's gradient of the shared parameters, kept apart: the rows that aggregators combine."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class TaskGradients:
    """The gradient matrix ``J``: a row a task, a column a shared parameter.

    While a row is open, the parameters' ``.grad`` fields are views of it, so that a backward pass accumulates
    into it in place: no copy, one encoder backward a task, and several batches of a task simply add up. Only
    one task's graph need exist at a time.

    Args:
        parameters: Shared by the tasks, trainable, of one floating-point type and on one device.
        tasks: Names, in the order of the rows.
        users: Tasks that use a parameter; all use one that is not named. The others have zeros there.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        tasks: Sequence[str],
        *,
        users: Mapping[nn.Parameter, Collection[str]] | None = None,
    ) -> None:
        if not parameters:
            raise ValueError("Parameter `parameters` should name at least one shared parameter. Found none.")
        self._parameters = list(parameters)
        self._rows = {name: number for number, name in enumerate(tasks)}
        self._users = users or {}
        self._sizes = [parameter.numel() for parameter in parameters]
        first = self._parameters[0]
        self._matrix = torch.zeros(len(tasks), sum(self._sizes), dtype=first.dtype, device=first.device)
        self._filled: list[str] = []

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with a gradient since the last ``clear``, in the order of their rows."""
        return tuple(sorted(self._filled, key=self._rows.__getitem__))

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self._matrix.device

    @property
    def matrix(self) -> Tensor:
        """Rows of ``tasks``. Shape ``(len(tasks), num_params)``; a view where every task has a row."""
        rows = [self._rows[name] for name in self.tasks]
        return self._matrix if len(rows) == len(self._matrix) else self._matrix[rows]

    @contextmanager
    def row(self, task: str) -> Iterator[None]:
        """Let backward passes inside add to the task's row."""
        row = self._matrix[self._rows[task]]
        if task not in self._filled:
            row.zero_()
            self._filled.append(task)
        self.write(row)
        try:
            yield
        finally:
            for parameter in self._parameters:
                parameter.grad = None

    def write(self, gradient: Tensor) -> None:
        """Make a flat gradient the parameters' own. Shape ``(num_params,)``; shared, not copied.

        A parameter that is frozen at present, or that no task with a row uses, gets none, so that the
        optimizer leaves it alone.
        """
        parts = torch.split(gradient, self._sizes)
        for parameter, part in zip(self._parameters, parts, strict=True):
            is_used = not self._users or not set(self._filled).isdisjoint(
                self._users.get(parameter, self._rows)
            )
            parameter.grad = part.view_as(parameter) if parameter.requires_grad and is_used else None

    def clear(self) -> None:
        """Forget all rows."""
        self._filled.clear()
