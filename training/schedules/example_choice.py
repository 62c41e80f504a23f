"""Uncertainty sampling in the loop: each task offers a batch, the most uncertain examples are learnt from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation import predict_logits
from training.examples import EncodedExamples
from training.model import MultitaskModel
from training.schedules.uncertainty import Floats, most_uncertain, uncertainties
from training.tasks import Task

SCORED = frozenset({"classification", "pair_classification"})
"""Kinds that answer with one distribution over labels."""


class MostUncertain:
    """Chooses a step's examples among candidates, by the model as it is, without dropout.

    ``b`` candidates of each task become ``b`` in all. A task of another kind has no entropy over labels and
    keeps its share. Each task's loss stays the mean over its own chosen examples, as in a metabatch; a task
    none of whose candidates was chosen has no loss in the step.

    Args:
        model: That trains.
        tasks: By name.
        train: Examples of each task.

    Attributes:
        learnt: Batches of each task that were chosen so far, parts of one added up.
    """

    def __init__(
        self, model: MultitaskModel, tasks: Mapping[str, Task], train: Mapping[str, EncodedExamples]
    ) -> None:
        self._model = model
        self._tasks = tasks
        self._train = train
        self.learnt = dict.fromkeys(tasks, 0.0)

    def __call__(self, candidates: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """The chosen among the candidates.

        Args:
            candidates: Numbers of each task's examples, at least one.
        """
        chosen = self._choose(candidates)
        for name, each in chosen.items():
            self.learnt[name] += len(each) / len(candidates[name])
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """What was learnt from."""
        return {"learnt": dict(self.learnt)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self.learnt = dict(state["learnt"])

    def _choose(self, candidates: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        scored = [name for name in candidates if self._tasks[name].kind.name in SCORED]
        if not scored:
            return dict(candidates)
        chosen = most_uncertain(
            uncertainties({name: self._logits(name, candidates[name]) for name in scored}),
            count=max(1, round(sum(map(len, candidates.values())) / len(candidates))),
            unscored={name: len(each) for name, each in candidates.items() if name not in scored},
        )
        return {name: each[chosen[name]] for name, each in candidates.items() if len(chosen[name])}

    def _logits(self, name: str, indices: NDArray[np.int64]) -> Floats:
        examples = self._train[name].take(indices)
        logits = predict_logits(self._model, self._tasks[name], examples, batch_size=len(indices))
        return np.concatenate(logits).astype(np.float64)
