import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from export.errors import ParityError
from export.golden import sample_dev
from export.manifest import Manifest, deviation
from export.parity import TOLERANCE, array_deviation, check_parity, distinct_sequences
from export.sessions import Graph
from tests.export.conftest import perturb
from training.assembly.trained import TrainedModel
from training.data import encode_examples
from training.evaluation import predict_logits
from training.examples import EncodedExamples


@pytest.fixture(scope="module")
def samples(trained: TrainedModel) -> dict[str, EncodedExamples]:
    texts = sample_dev(trained)
    return {name: encode_examples(trained.tasks[name], texts[name], trained.tokenizer) for name in texts}


def check(
    trained: TrainedModel, samples: dict[str, EncodedExamples], manifest: Manifest, folder: Path
) -> tuple[float, dict[str, float]]:
    heads = {name: Graph(folder / "heads" / f"{name}.onnx") for name in samples}
    logits = {
        name: predict_logits(trained.model, trained.tasks[name], examples, batch_size=1)
        for name, examples in samples.items()
    }
    parity = check_parity(
        trained.model,
        trained.tasks,
        samples,
        logits,
        encoder=manifest.encoder,
        encoder_graph=Graph(folder / "encoder.onnx"),
        head_graphs=heads,
    )
    return parity.encoder, parity.heads


def test_an_honest_export_deviates_by_rounding_alone(
    trained: TrainedModel, samples: dict[str, EncodedExamples], manifest: Manifest, tiny_bundle: Path
) -> None:
    encoder, heads = check(trained, samples, manifest, tiny_bundle)
    assert 0 < encoder < TOLERANCE
    assert list(heads) == list(trained.tasks)
    assert max(heads.values()) < TOLERANCE


def test_a_perturbed_encoder_graph_is_caught(
    trained: TrainedModel, samples: dict[str, EncodedExamples], manifest: Manifest, bundle: Path
) -> None:
    perturb(bundle / "encoder.onnx")
    with pytest.raises(
        ParityError, match=r"The encoder's graph differs from the torch model by .*, allowed 1e-04"
    ):
        check(trained, samples, manifest, bundle)


@pytest.mark.parametrize("task", ["sentiment", "duplicate"])
def test_a_perturbed_head_graph_is_caught_and_named(
    trained: TrainedModel, samples: dict[str, EncodedExamples], manifest: Manifest, bundle: Path, task: str
) -> None:
    perturb(bundle / "heads" / f"{task}.onnx")
    with pytest.raises(ParityError, match=f"The head of task '{task}' differs from the torch model"):
        check(trained, samples, manifest, bundle)


def test_another_tasks_head_in_its_place_is_caught(
    trained: TrainedModel, samples: dict[str, EncodedExamples], manifest: Manifest, bundle: Path
) -> None:
    shutil.copy(bundle / "heads" / "length.onnx", bundle / "heads" / "stars.onnx")
    with pytest.raises(ParityError, match="task 'stars'"):
        check(trained, samples, manifest, bundle)


def test_a_model_that_answers_no_number_never_passes(
    trained: TrainedModel, samples: dict[str, EncodedExamples], manifest: Manifest, tiny_bundle: Path
) -> None:
    broken = replace(trained, model=copy.deepcopy(trained.model))
    with torch.no_grad():
        next(broken.model.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(ParityError, match="differs from the torch model by nan"):
        check(broken, samples, manifest, tiny_bundle)


def test_a_sequence_that_many_tasks_share_is_compared_once(samples: dict[str, EncodedExamples]) -> None:
    sequences = distinct_sequences(samples)
    keys = {(tuple(sequence.input_ids), tuple(sequence.token_type_ids)) for sequence in sequences}
    assert len(keys) == len(sequences)
    every = [s for examples in samples.values() for example in examples.sequences for s in example]
    assert keys == {(tuple(s.input_ids), tuple(s.token_type_ids)) for s in every}


numbers = st.floats(-1e3, 1e3, width=32) | st.sampled_from([float("nan"), float("inf")])


@given(pairs=st.lists(st.tuples(numbers, numbers), max_size=6))
def test_arrays_deviate_as_the_manifest_defines_it(pairs: list[tuple[float, float]]) -> None:
    found, expected = ([pair[side] for pair in pairs] for side in (0, 1))
    arrays = [np.array(values, dtype=np.float32) for values in (found, expected)]
    assert array_deviation(*arrays) == pytest.approx(deviation(found, expected), rel=1e-5, nan_ok=True)
