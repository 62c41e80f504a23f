import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_kinds import kinds_config
from training.assembly.data import build_tasks
from training.assembly.trained import TrainedModel, build_model, load_model
from training.config.file import parse_config
from training.data import encode_examples, load_examples
from training.encoder import load_encoder, load_tokenizer_json
from training.evaluation import as_sections, evaluate, predict_logits, report_on_dev
from training.examples import EncodedExamples
from training.tokenization import build_tokenizer


@pytest.fixture(scope="module")
def trained(tiny_run: Path) -> TrainedModel:
    return load_model(tiny_run)


def dev_of(trained: TrainedModel, task: str) -> EncodedExamples:
    examples = load_examples(trained.tasks[task], trained.config.tasks[task].data.dev)
    return encode_examples(trained.tasks[task], examples, trained.tokenizer)


@pytest.mark.parametrize("task", ["sentiment", "paraphrase", "similarity"])
def test_predictions_do_not_depend_on_batch_size_or_order(trained: TrainedModel, task: str) -> None:
    examples = dev_of(trained, task)
    alone = predict_logits(trained.model, trained.tasks[task], examples, batch_size=1)
    assert np.concatenate(alone).std() > 1e-3, "the examples do differ"
    for batch_size in (3, 7, 64):
        together = predict_logits(trained.model, trained.tasks[task], examples, batch_size=batch_size)
        np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), atol=1e-5)
    order = np.random.default_rng(0).permutation(len(examples))
    found = predict_logits(trained.model, trained.tasks[task], examples.take(order), batch_size=5)
    for index, logits in zip(order, found, strict=True):
        np.testing.assert_allclose(logits, alone[index], atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_restored_and_dropout_is_off_meanwhile(
    trained: TrainedModel, training: bool
) -> None:
    trained.model.train(training)
    examples = dev_of(trained, "sentiment")
    first, second = (
        predict_logits(trained.model, trained.tasks["sentiment"], examples, batch_size=8) for _ in range(2)
    )
    assert np.array_equal(np.concatenate(first), np.concatenate(second))
    assert trained.model.training is training
    trained.model.eval()


def test_every_task_is_measured_and_every_example_counted(trained: TrainedModel) -> None:
    data = {name: dev_of(trained, name) for name in trained.tasks}
    seen: list[int] = []
    metrics = evaluate(trained.model, trained.tasks, data, batch_size=8, on_batch=seen.append)
    assert list(metrics) == list(trained.tasks)
    assert sum(seen) == sum(map(len, data.values()))


def test_metrics_of_a_run_are_those_of_its_best_checkpoint_on_dev(trained: TrainedModel) -> None:
    data = {name: dev_of(trained, name) for name in trained.tasks}
    again = evaluate(trained.model, trained.tasks, data, batch_size=64)
    for name, values in again.items():
        found = trained.metrics["dev"][name]
        assert {metric: found[metric] for metric in values} == pytest.approx(values, abs=1e-6)
        assert next(iter(found)) == next(iter(values)), "the primary metric comes first"


def test_a_task_with_probabilities_has_a_temperature_and_its_calibration_errors(
    trained: TrainedModel,
) -> None:
    for name, task in trained.tasks.items():
        is_value = task.kind.name.endswith("regression")
        assert ({"ece", "ece_calibrated"} <= set(trained.metrics["dev"][name])) is not is_value
        assert (name in trained.metrics["calibration"]) is not is_value
    assert set(trained.metrics["calibration"]["sentiment"]) == {
        "temperature",
        "thresholds",
        "no_answer_threshold",
    }


def test_examples_with_any_number_of_sequences_are_answered_whatever_the_batch_size(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path
) -> None:
    """Ragged: queries with their documents, contexts by windows, choices; each logit in its place."""
    folder = tmp_path_factory.mktemp("ragged")
    config = parse_config(kinds_config(folder, tiny_encoder))
    model = build_model(config, load_encoder(config.encoder.model)).eval()
    tokenizer = build_tokenizer(load_tokenizer_json(str(tiny_encoder)), config.encoder.max_length)
    for name, task in build_tasks(config).items():
        examples = encode_examples(task, load_examples(task, config.tasks[name].data.dev), tokenizer)
        seen: list[int] = []
        alone = predict_logits(model, task, examples, batch_size=1, on_batch=seen.append)
        assert sum(seen) == len(alone) == len(examples)
        for index, logits in enumerate(alone):
            tokens = sum(len(sequence.input_ids) for sequence in examples.sequences[index])
            rows = tokens if task.kind.is_token_level else len(examples.rows_of(index))
            assert logits.shape == (rows, task.kind.num_outputs)
        for batch_size in (3, 64):
            together = predict_logits(model, task, examples, batch_size=batch_size)
            np.testing.assert_allclose(
                np.concatenate(together), np.concatenate(alone), atol=1e-4, err_msg=name
            )
        report = report_on_dev(task.kind, alone, examples)
        assert tuple(report.metrics)[: len(task.kind.metrics)] == task.kind.metrics
        assert all(np.isfinite(value) for value in report.metrics.values())
        assert (report.calibration is None) is task.kind.name.endswith("regression")
        json.dumps(as_sections({name: report}), allow_nan=False)
