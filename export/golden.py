"""Golden examples: dev inputs with the torch model's logits, which a healthy bundle must repeat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.inference import run_task
from export.inputs import input_fault, sequences_of
from export.manifest import (
    GOLDEN_FILE,
    BundleFileError,
    EncoderEntry,
    GoldenExample,
    TaskEntry,
    deviation,
)
from export.sessions import Graph
from training.assembly.trained import TrainedModel
from training.data import encode_examples, load_examples
from training.errors import DataError
from training.evaluation import predict_logits
from training.examples import EncodedExamples, Examples
from training.kinds.base import Logits
from training.tokenization import build_tokenizer

EXAMPLES_A_TASK = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredSamples:
    """A few dev rows of every task with the torch model's answers.

    Attributes:
        examples: By task.
        encoded: The same, tokenised.
        logits: Of each row alone.
    """

    examples: dict[str, Examples]
    encoded: dict[str, EncodedExamples]
    logits: dict[str, list[NDArray[np.float32]]]

    def golden_lines(self) -> str:
        """The golden examples as lines of their file."""
        golden = golden_examples(self.examples, self.logits)
        return "".join(example.model_dump_json() + "\n" for example in golden)


def answer_samples(trained: TrainedModel) -> AnsweredSamples:
    """Let the torch model answer a few dev rows of every task, one at a time.

    Raises:
        ExportError: If a task's dev data cannot be read.
    """
    samples = sample_dev(trained)
    encoded = {
        task: encode_examples(trained.tasks[task], rows, trained.tokenizer) for task, rows in samples.items()
    }
    logits = {
        task: predict_logits(trained.model, trained.tasks[task], rows, batch_size=1)
        for task, rows in encoded.items()
    }
    return AnsweredSamples(examples=samples, encoded=encoded, logits=logits)


def sample_dev(trained: TrainedModel) -> dict[str, Examples]:
    """A few dev rows of every task, spread over the lengths, the longest among them.

    Raises:
        ExportError: If a task's dev data cannot be read.
    """
    samples = {}
    for name, config in trained.config.tasks.items():
        try:
            examples = load_examples(trained.tasks[name], config.data.dev)
        except (DataError, OSError) as error:
            raise ExportError(
                f"Golden examples are dev rows, and those of {name!r} cannot be read: {error}"
            ) from error
        order = np.argsort([num_characters(example.input) for example in examples], kind="stable")
        chosen = np.unique(np.linspace(0, len(order) - 1, EXAMPLES_A_TASK).round().astype(int))
        samples[name] = examples.take(order[chosen])
    return samples


def num_characters(given: Mapping[str, Any]) -> int:
    """Of all texts of an input."""
    return sum(len(value) if isinstance(value, str) else sum(map(len, value)) for value in given.values())


def golden_examples(samples: Mapping[str, Examples], logits: Mapping[str, Logits]) -> list[GoldenExample]:
    """The samples with the torch model's logits.

    Args:
        samples: By task.
        logits: Of each task's samples, in order.
    """
    return [
        GoldenExample(task=name, input=example.input, logits=rows.tolist())
        for name, examples in samples.items()
        for example, rows in zip(examples, logits[name], strict=True)
    ]


def check_golden(
    encoder: EncoderEntry,
    tasks: Mapping[str, TaskEntry],
    golden: Sequence[GoldenExample],
    tokenizer_json: str,
    *,
    encoder_graph: Graph,
    head_graphs: Mapping[str, Graph],
    tolerance: float,
) -> dict[str, float]:
    """Answer golden examples with the bundle's own files.

    Args:
        encoder: The manifest's entry.
        tasks: Likewise.
        golden: At least one of each task.
        tokenizer_json: The bundle's.
        encoder_graph: Of any precision.
        head_graphs: By task.
        tolerance: Largest deviation allowed.

    Returns:
        Largest deviation of each task.

    Raises:
        BundleFileError: If an example deviates by more than the tolerance.
    """
    tokenizer = build_tokenizer(tokenizer_json, encoder.max_length)
    worst = dict.fromkeys(tasks, 0.0)
    missing = worst.keys() - {example.task for example in golden}
    if missing:
        raise BundleFileError(f"{GOLDEN_FILE} has no example of task {', '.join(sorted(missing))}")
    for number, example in enumerate(golden, 1):
        where = f"golden example {number} of task {example.task!r}"
        if example.task not in tasks:
            raise BundleFileError(f"{where}: the bundle has no such task")
        task = tasks[example.task]
        fault = input_fault(task.kind, example.input)
        if fault is not None:
            raise BundleFileError(f"{where}: {fault}, found {', '.join(example.input)}")
        try:
            sequences = sequences_of(task, example.input, tokenizer)
        except ValueError as error:
            raise BundleFileError(f"{where}: {error}") from error
        found = run_task(
            encoder, task, sequences, encoder_graph=encoder_graph, head_graph=head_graphs[example.task]
        )
        gap = _gap(found, example, where)
        if not gap <= tolerance:
            raise BundleFileError(f"{where} deviates by {gap:.2e}, allowed {tolerance:.0e}")
        worst[example.task] = max(worst[example.task], gap)
    return worst


def _gap(found: NDArray[np.float32], example: GoldenExample, where: str) -> float:
    expected = [*map(len, example.logits)]
    if expected != [found.shape[1]] * len(found):
        raise BundleFileError(
            f"{where}: {len(found)} rows of {found.shape[1]} logits belong to this input, found "
            f"{len(expected)} of {', '.join(map(str, sorted(set(expected))))}"
        )
    return deviation(found.ravel().tolist(), [logit for row in example.logits for logit in row])
