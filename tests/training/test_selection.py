import math

import pytest

from training.selection import EarlyStopping, joint_score

METRICS = {"mood": {"accuracy": 0.5, "f1_macro": 0.2}, "close": {"pearson": 0.8, "mse": 3.0}}


def test_the_joint_score_is_the_mean_of_the_declared_metrics() -> None:
    assert joint_score(METRICS, ["mood.accuracy", "close.pearson"]) == pytest.approx(0.65)
    assert joint_score(METRICS, ["mood.f1_macro"]) == pytest.approx(0.2)


def test_early_stopping_follows_a_trace_of_scores() -> None:
    stopping = EarlyStopping(patience=2)
    trace = [
        (score, stopping.update(score), stopping.should_stop) for score in (0.1, 0.3, 0.3, 0.4, 0.2, 0.39)
    ]
    assert trace == [
        (0.1, True, False),
        (0.3, True, False),
        (0.3, False, False),
        (0.4, True, False),
        (0.2, False, False),
        (0.39, False, True),
    ]
    assert stopping.best == 0.4


def test_a_later_checkpoint_within_the_tolerance_is_kept_and_the_best_score_stays() -> None:
    stopping = EarlyStopping(patience=None, tolerance=0.05)
    kept = [stopping.update(score) for score in (0.1, 0.5, 0.46, 0.44, 0.46, 0.6, math.nan)]
    assert kept == [True, True, True, False, True, True, False]
    assert stopping.best == 0.6


def test_a_tolerance_does_not_wear_out_patience_later() -> None:
    stopping = EarlyStopping(patience=2, tolerance=0.05)
    stops = []
    for score in (0.5, 0.49, 0.48):
        stopping.update(score)
        stops.append(stopping.should_stop)
    assert stops == [False, False, True]


def test_without_patience_training_never_stops_early() -> None:
    stopping = EarlyStopping(patience=None)
    assert not any(stopping.update(-score) and stopping.should_stop for score in range(100))
    assert not stopping.should_stop


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    stopping = EarlyStopping(patience=1)
    assert not stopping.update(math.nan)
    assert stopping.should_stop
    assert stopping.update(-5.0)


def test_a_restored_memory_goes_on_counting() -> None:
    stopping, restored = EarlyStopping(patience=2), EarlyStopping(patience=2)
    stopping.update(0.5)
    stopping.update(0.4)
    restored.load_state_dict(stopping.state_dict())
    assert not restored.update(0.5)
    assert restored.should_stop
