import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.kinds.scores import sigmoid, softmax

LOGITS = arrays(np.float32, (3, 4), elements=st.floats(-3e4, 3e4, width=32))
TEMPERATURES = st.floats(0.05, 20)


@given(LOGITS, TEMPERATURES)
def test_scores_are_probabilities_even_of_huge_logits(logits: np.ndarray, temperature: float) -> None:
    scores = softmax(logits, temperature=temperature)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-12)


@given(LOGITS, st.floats(-100, 100, width=32))
def test_a_shift_of_all_logits_changes_nothing(logits: np.ndarray, shift: float) -> None:
    logits = np.clip(logits, -50, 50)
    np.testing.assert_allclose(softmax(logits + np.float32(shift)), softmax(logits), atol=1e-4)


@given(LOGITS, TEMPERATURES)
def test_the_sigmoid_is_a_softmax_against_zero(logits: np.ndarray, temperature: float) -> None:
    against_zero = softmax(np.stack([logits, np.zeros_like(logits)], axis=-1), temperature=temperature)
    np.testing.assert_allclose(sigmoid(logits, temperature=temperature), against_zero[..., 0], atol=1e-12)


def test_a_temperature_divides_the_logits() -> None:
    logits = np.array([1.0, 3.0], dtype=np.float32)
    np.testing.assert_allclose(softmax(logits, temperature=2.0), softmax(logits / 2))
    np.testing.assert_allclose(sigmoid(logits, temperature=2.0), 1 / (1 + np.exp(-logits / 2)), rtol=1e-6)
