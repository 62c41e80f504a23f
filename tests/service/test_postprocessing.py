import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.postprocessing import decode, decode_labels, softmax
from tests.support.service_fakes import task

LOGITS = arrays(np.float32, (3, 4), elements=st.floats(-3e4, 3e4, width=32))


@given(LOGITS)
def test_scores_are_probabilities_even_of_huge_logits(logits: np.ndarray) -> None:
    scores = softmax(logits)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-12)


@given(LOGITS, st.floats(-100, 100, width=32))
def test_a_shift_of_all_logits_changes_nothing(logits: np.ndarray, shift: float) -> None:
    logits = np.clip(logits, -50, 50)
    np.testing.assert_allclose(softmax(logits + np.float32(shift)), softmax(logits), atol=1e-4)


def test_a_label_answer_has_the_best_label_and_all_scores() -> None:
    (answer,) = decode_labels(np.log(np.array([[0.2, 0.5, 0.3]], dtype=np.float32)), ("a", "b", "c"))
    assert answer["label"] == "b"
    assert answer["score"] == answer["scores"]["b"] == pytest.approx(0.5)
    assert list(answer["scores"]) == ["a", "b", "c"]


def test_ties_go_to_the_first_label() -> None:
    (answer,) = decode_labels(np.zeros((1, 3), dtype=np.float32), ("a", "b", "c"))
    assert answer["label"] == "a"


def test_kinds_with_labels_answer_labels_and_the_others_values() -> None:
    assert "label" in decode(task(), np.zeros((1, 2), dtype=np.float32))[0]
    assert decode(task("regression"), np.array([[1.5], [2.5]], dtype=np.float32)) == [
        {"value": 1.5},
        {"value": 2.5},
    ]
