"""Metrics of a model on whole splits, and what is calibrated on dev.

``python -m training evaluate`` adds two sections to a checkpoint's ``metrics.json``, which export reads:

    "dev":         {"tags": {"f1_micro": 0.91, …, "ece": 0.043, "ece_calibrated": 0.012}, …}
    "calibration": {"tags": {"temperature": 1.31, "thresholds": [0.42, 0.55], "no_answer_threshold": null}, …}

Dev metrics are those of the kind, the primary one first, and for kinds that answer with probabilities the
expected calibration error at temperature 1 and calibrated. A task without probabilities (regression) has no
entry under ``calibration``. ``thresholds``, one a label, is null but for ``multi_label``; the
``no_answer_threshold`` is null but for ``question_answering`` whose dev has questions without an answer.
Under a sharing layer with gates, a third section, ``gates``, says how these weighed their experts on dev.

What was fitted on dev is measured on dev only crosswise: ``ece_calibrated``, and all metrics of a kind whose
answers depend on a fitted threshold, are averages over two halves, each measured with the other's fit.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.batches import Batch, pad
from training.calibration import crossfit, expected_calibration_error
from training.examples import EncodedExamples
from training.kinds.base import UNCALIBRATED, Calibration, Kind, Logits
from training.model import MultitaskModel
from training.tasks import Task

Metrics = dict[str, dict[str, float]]
"""Task → metric → value."""


@torch.inference_mode()
def predict_logits(
    model: MultitaskModel,
    task: Task,
    examples: EncodedExamples,
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[NDArray[np.float32]]:
    """Logits of every example, in order, with dropout off.

    Args:
        model: Left in the mode it was in.
        task: Whose head answers.
        examples: Any number. One with many sequences is spread over several forward passes.
        batch_size: Rows of logits a forward pass; sorted by length, so that little is padding.
        on_batch: Called with the examples completed since the last call.

    Returns:
        An array for each example: ``(rows of logits, num_outputs)``, of a token-level kind
        ``(tokens of all its sequences, num_outputs)``.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    units = [(example, row) for example in range(len(examples)) for row in examples.rows_of(example)]
    lengths = np.array([max(len(examples.sequences[e][s].input_ids) for s in row) for e, row in units])
    order = np.argsort(-lengths, kind="stable")
    missing = np.bincount([example for example, _ in units], minlength=len(examples))
    parts: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(units)
    for chosen in np.split(order, range(batch_size, len(order), batch_size)):
        batch = _read_together(examples, [units[unit] for unit in chosen], model.encoder.pad_token_id)
        logits = model(task.name, batch.to(device)).float().cpu().numpy()
        for unit, row in zip(chosen, logits, strict=True):
            parts[unit] = row[: lengths[unit]] if task.kind.is_token_level else row[None]
            missing[units[unit][0]] -= 1
        on_batch(sum(missing[example] == 0 for example in {units[unit][0] for unit in chosen}))
    model.train(was_training)
    by_example = np.split(
        np.arange(len(units)), np.cumsum([len(examples.rows_of(e)) for e in range(len(examples))])
    )
    return [np.concatenate([parts[unit] for unit in own]) for own in by_example[:-1]]


def _read_together(
    examples: EncodedExamples, units: list[tuple[int, NDArray[np.int64]]], pad_token_id: int
) -> Batch:
    """Rows of logits as a batch; a sequence that several of them read is there once."""
    places: dict[tuple[int, int], int] = {}
    rows = [[places.setdefault((example, int(s)), len(places)) for s in row] for example, row in units]
    sequences = [examples.sequences[example][s] for example, s in places]
    return pad(sequences, np.array(rows), pad_token_id=pad_token_id)


def evaluate(
    model: MultitaskModel,
    tasks: Mapping[str, Task],
    data: Mapping[str, EncodedExamples],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Metrics:
    """Metrics of every task on its examples."""
    return {
        name: tasks[name].kind.measure(
            predict_logits(model, tasks[name], examples, batch_size=batch_size, on_batch=on_batch), examples
        )
        for name, examples in data.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DevReport:
    """What is known of one task after training.

    Attributes:
        metrics: On dev, by name.
        calibration: Fitted on all of dev; None where the answer is no probability.
    """

    metrics: dict[str, float]
    calibration: Calibration | None


def report_on_dev(kind: Kind, logits: Logits, examples: EncodedExamples) -> DevReport:
    """Measure a task on dev and calibrate it.

    Args:
        kind: The task's.
        logits: Of ``predict_logits``.
        examples: Of dev.
    """
    calibration = kind.calibrate(logits, examples)
    if calibration is None:
        return DevReport(metrics=kind.measure(logits, examples), calibration=None)

    def on_held_out(fit: NDArray[np.int64], held: NDArray[np.int64]) -> dict[str, float]:
        fitted = kind.calibrate([logits[index] for index in fit], examples.take(fit)) or UNCALIBRATED
        own, theirs = [logits[index] for index in held], examples.take(held)
        metrics = kind.measure(own, theirs, fitted)
        return {**metrics, "ece_calibrated": _calibration_error(kind, own, theirs, fitted)}

    crosswise = crossfit(len(examples), on_held_out)
    metrics = crosswise if calibration.decides else kind.measure(logits, examples)
    return DevReport(
        metrics={
            **{name: metrics[name] for name in kind.metrics},
            "ece": _calibration_error(kind, logits, examples, UNCALIBRATED),
            "ece_calibrated": crosswise["ece_calibrated"],
        },
        calibration=calibration,
    )


def as_sections(reports: Mapping[str, DevReport]) -> dict[str, Any]:
    """Reports of all tasks as sections of ``metrics.json``."""
    return {
        "dev": {name: report.metrics for name, report in reports.items()},
        "calibration": {
            name: asdict(report.calibration)
            for name, report in reports.items()
            if report.calibration is not None
        },
    }


def _calibration_error(
    kind: Kind, logits: Logits, examples: EncodedExamples, calibration: Calibration
) -> float:
    forecasts = kind.forecasts(logits, examples, calibration)
    if forecasts is None:
        return 0.0
    return expected_calibration_error(forecasts.probabilities, forecasts.outcomes)
