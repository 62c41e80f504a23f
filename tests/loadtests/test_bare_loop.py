from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.answers import check_answers
from loadtests.bare_loop import ONE_EACH, BareLoop, LoopShape
from loadtests.errors import LoadTestError
from service.kinds.scores import softmax

TEXTS = [
    "the parcel arrived",
    "never broken",
    "my lamp is blue and small",
    "please help with the refund",
    "red",
]


@pytest.fixture(scope="module")
def bare(tiny_bundle: Path) -> BareLoop:
    return BareLoop(tiny_bundle, threads=1)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.sampled_from([ONE_EACH, 16, 64]),
)
def test_a_layout_holds_each_sequence_once_within_its_rows(lengths: list[int], row_len: int) -> None:
    layout = LoopShape(row_len=row_len, batch_tokens=1).layout(lengths)
    assert [index for row in layout.rows for index in row] == list(range(len(lengths)))
    assert layout.row_len == max(sum(lengths[index] for index in row) for row in layout.rows)
    assert layout.row_len <= max(row_len, *lengths, 1)


def test_one_text_a_row_means_one() -> None:
    assert LoopShape(row_len=ONE_EACH, batch_tokens=1).layout([3, 3, 4]).rows == ((0,), (1,), (2,))


def test_logits_do_not_depend_on_the_shape_of_the_rows(bare: BareLoop) -> None:
    found = []
    for row_len in (ONE_EACH, 16, 64):
        bare.shape = LoopShape(row_len=row_len, batch_tokens=64)
        found.append(bare.logits(TEXTS, ["sentiment"])["sentiment"])
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)


def test_only_tasks_on_single_texts_are_measured(bare: BareLoop) -> None:
    assert list(bare.single_text_tasks) == ["sentiment", "topic", "stars", "length"]


def test_texts_that_are_the_same_to_the_encoder_count_once(bare: BareLoop) -> None:
    assert bare.distinct(["a red lamp", "A Red Lamp", "a blue lamp"]) == ["a red lamp", "a blue lamp"]


def test_the_quickest_shape_is_kept(bare: BareLoop) -> None:
    trials: list[tuple[int, int]] = []
    shape = bare.find_shape(TEXTS, "sentiment", on_trial=lambda done, total: trials.append((done, total)))
    assert bare.shape == shape
    assert trials[-1][0] == trials[-1][1]
    assert bare.texts_per_s(TEXTS, "sentiment") > 0


def test_answers_of_the_same_model_pass_and_others_do_not(bare: BareLoop) -> None:
    tasks = bare.single_text_tasks
    logits = bare.logits(TEXTS, ["sentiment", "stars"])
    answers = []
    for row, value in zip(logits["sentiment"], logits["stars"], strict=True):
        scores = softmax(row, temperature=tasks["sentiment"].temperature)
        labels = tasks["sentiment"].labels
        assert labels is not None
        answers.append(
            {
                "sentiment": {"scores": dict(zip(labels, scores.tolist(), strict=True))},
                "stars": {"value": float(value[0])},
            }
        )
    assert check_answers(answers, logits, tasks) < 1e-6
    answers[2]["stars"]["value"] += 0.1
    with pytest.raises(LoadTestError, match="answers for stars differ"):
        check_answers(answers, logits, tasks)
