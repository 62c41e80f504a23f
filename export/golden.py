"""Golden examples: dev inputs with the torch model's logits, which a healthy bundle must repeat."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.errors import ExportError
from export.manifest import GOLDEN_FILE, BundleFileError, GoldenExample, Manifest, Precision, deviation
from export.packing import pack_rows
from export.sessions import Graph
from training.build import TrainedModel
from training.data import encode_examples, load_examples
from training.errors import DataError
from training.evaluation import predict_logits
from training.examples import Examples
from training.tokenization import TokenSequence, build_tokenizer, encode_texts

EXAMPLES_A_TASK = 8


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
        order = np.argsort([len(str(example.input)) for example in examples], kind="stable")
        chosen = np.unique(np.linspace(0, len(order) - 1, EXAMPLES_A_TASK).round().astype(int))
        samples[name] = examples.take(order[chosen])
    return samples


def golden_examples(trained: TrainedModel, samples: dict[str, Examples]) -> list[GoldenExample]:
    """The samples with the torch model's logits."""
    golden = []
    for name, examples in samples.items():
        task = trained.tasks[name]
        encoded = encode_examples(task, examples, trained.tokenizer)
        logits = predict_logits(trained.model, task, encoded, batch_size=1)
        for example, rows in zip(examples, logits, strict=True):
            golden.append(GoldenExample(task=name, input=example.input, logits=rows.tolist()))
    return golden


def check_golden(
    manifest: Manifest,
    golden: Sequence[GoldenExample],
    tokenizer_json: str,
    encoder: Graph,
    heads: dict[str, Graph],
) -> dict[str, float]:
    """Answer golden examples with the bundle's own files.

    Returns:
        Largest deviation of each task.

    Raises:
        BundleFileError: If an example deviates by more than the encoder graph's tolerance.
    """
    tokenizer = build_tokenizer(tokenizer_json, manifest.encoder.max_length)
    tolerance = manifest.encoder.graphs[Precision.FP32].tolerance
    worst = dict.fromkeys(manifest.tasks, 0.0)
    missing = worst.keys() - {example.task for example in golden}
    if missing:
        raise BundleFileError(f"{GOLDEN_FILE} has no example of task {', '.join(sorted(missing))}")
    for number, example in enumerate(golden, 1):
        where = f"golden example {number} of task {example.task!r}"
        if example.task not in manifest.tasks:
            raise BundleFileError(f"{where}: the bundle has no such task")
        task = manifest.tasks[example.task]
        if set(example.input) != set(task.input_fields) or [*map(len, example.logits)] != [
            task.head.num_outputs
        ]:
            raise BundleFileError(
                f"{where}: expected {' and '.join(task.input_fields)}, and {task.head.num_outputs} logits"
            )
        texts = [example.input[field] for field in task.input_fields]
        as_one: list[Any] = [tuple(texts)] if len(task.head.inputs) == 1 and len(texts) == 2 else texts
        pooled = _encode(manifest, encoder, encode_texts(tokenizer, as_one))[task.pooling.output_name]
        feed = {str(name): pooled[index : index + 1] for index, name in enumerate(task.head.inputs)}
        gap = deviation(heads[example.task].run(feed)["logits"][0].tolist(), example.logits[0])
        if not gap <= tolerance:
            raise BundleFileError(f"{where} deviates by {gap:.2e}, allowed {tolerance:.0e}")
        worst[example.task] = max(worst[example.task], gap)
    return worst


def _encode(manifest: Manifest, graph: Graph, sequences: list[TokenSequence]) -> dict[str, Any]:
    rows = pack_rows(
        sequences,
        row_len=sum(len(sequence.input_ids) for sequence in sequences),
        position_offset=manifest.encoder.position_offset,
        pad_token_id=manifest.encoder.pad_token_id,
        layout=manifest.encoder.layout,
    )
    return graph.run(rows.feed(manifest.encoder))
