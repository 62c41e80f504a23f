import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit, softmax
from sklearn.metrics import f1_score

from training.calibration import (
    TEMPERATURES,
    crossfit,
    expected_calibration_error,
    fit_temperature,
    fit_temperature_of_choices,
    fit_temperature_of_events,
    tune_no_answer_threshold,
    tune_thresholds,
)

temperatures = st.floats(0.3, 4.0)


def drawn(probabilities: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A label for each row, by its probabilities."""
    return (probabilities.cumsum(axis=1) < generator.random((len(probabilities), 1))).sum(axis=1)


@given(temperature=temperatures)
def test_the_temperature_that_logits_were_stretched_by_is_found(temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(20_000, 3))
    labels = drawn(softmax(logits, axis=1), generator)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


@given(temperature=temperatures)
def test_it_is_found_of_events_too(temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(8000, 2))
    outcomes = (generator.random(logits.shape) < expit(logits)).astype(float)
    assert fit_temperature_of_events(logits * temperature, outcomes) == pytest.approx(temperature, rel=0.06)


def test_choices_of_one_number_are_labels() -> None:
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(300, 4)), generator.integers(4, size=300)
    expected = fit_temperature(logits, labels)
    assert fit_temperature_of_choices(list(logits), labels.tolist()) == pytest.approx(expected)


def test_logits_that_never_err_get_the_lowest_temperature_and_hopeless_ones_the_highest() -> None:
    logits, labels = 0.5 * np.eye(3), np.arange(3)
    assert fit_temperature(logits, labels) == pytest.approx(TEMPERATURES[0], rel=1e-2)
    assert fit_temperature(logits, (labels + 1) % 3) == pytest.approx(TEMPERATURES[1], rel=1e-2)


def test_nothing_to_fit_changes_nothing() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=np.int64)) == 1
    assert fit_temperature_of_choices([], []) == 1
    assert expected_calibration_error(np.zeros(0), np.zeros(0)) == 0


def test_the_calibration_error_is_by_hand() -> None:
    probabilities, outcomes = np.array([0.9, 0.9, 0.9, 0.3]), np.array([1.0, 1.0, 0.0, 0.0])
    # Two bins in use: |2/3 − 0.9| of three, |0 − 0.3| of one.
    expected = (3 * (0.9 - 2 / 3) + 0.3) / 4
    assert expected_calibration_error(probabilities, outcomes) == pytest.approx(expected)


def test_honest_forecasts_have_hardly_an_error_and_boasting_ones_have() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(50_000)
    outcomes = (generator.random(50_000) < probabilities).astype(float)
    assert expected_calibration_error(probabilities, outcomes) < 0.01
    assert expected_calibration_error(np.sqrt(probabilities), outcomes) > 0.1


@given(
    forecasts=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40),
    bins=st.integers(1, 20),
)
def test_the_calibration_error_lies_between_zero_and_one_and_knows_no_order(
    forecasts: list[tuple[float, float]], bins: int
) -> None:
    probabilities, outcomes = np.array(forecasts).T
    error = expected_calibration_error(probabilities, outcomes, bins)
    assert 0 <= error <= 1
    assert expected_calibration_error(probabilities[::-1], outcomes[::-1], bins) == pytest.approx(error)


@given(data=st.data(), count=st.integers(1, 25))
def test_no_threshold_has_a_higher_f1_than_the_tuned_one(data: st.DataObject, count: int) -> None:
    tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)
    probabilities = data.draw(arrays.arrays(np.float64, (count, 2), elements=tenths))
    present = data.draw(arrays.arrays(np.float64, (count, 2), elements=st.sampled_from([0.0, 1.0])))
    tuned = tune_thresholds(probabilities, present)
    for label in range(2):
        if not present[:, label].any():
            assert tuned[label] == 0.5
            continue
        found = f1_of(probabilities[:, label], present[:, label], tuned[label])
        for threshold in np.linspace(-0.05, 1.05, 23):
            assert found >= f1_of(probabilities[:, label], present[:, label], threshold) - 1e-12


def f1_of(probabilities: np.ndarray, present: np.ndarray, threshold: float) -> float:
    return float(f1_score(present > 0, probabilities >= threshold, zero_division=0))


def test_a_threshold_lies_halfway_between_the_probabilities_it_parts() -> None:
    assert tune_thresholds(np.array([[0.1], [0.4], [0.8]]), np.array([[0.0], [0.0], [1.0]])) == (
        pytest.approx(0.6),
    )


@given(
    questions=st.lists(
        st.tuples(st.integers(-5, 5), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0])),
        min_size=1,
        max_size=20,
    )
)
def test_no_margin_answers_better_than_the_tuned_one(questions: list[tuple[int, float, float]]) -> None:
    margins, scores, none = (np.array(column, dtype=float) for column in zip(*questions, strict=True))

    def total(threshold: float) -> float:
        return float(np.where(margins <= threshold, none, scores).sum())

    tuned = tune_no_answer_threshold(margins, scores, none)
    assert total(tuned) == max(total(threshold) for threshold in np.arange(-6.5, 7, 0.5))
    json.loads(json.dumps(tuned, allow_nan=False))


@given(count=st.integers(2, 50))
def test_crossfitting_measures_every_example_once_and_never_where_it_was_fitted(count: int) -> None:
    held_out: list[int] = []

    def measure(fit: np.ndarray, held: np.ndarray) -> dict[str, float]:
        assert len(fit)
        assert not set(fit) & set(held)
        held_out.extend(held.tolist())
        return {"size": float(len(held))}

    assert crossfit(count, measure) == {"size": count / 2}
    assert sorted(held_out) == list(range(count))


def test_a_single_example_is_its_own_other_half() -> None:
    assert crossfit(1, lambda fit, held: {"size": float(len(fit) + len(held))}) == {"size": 2}
