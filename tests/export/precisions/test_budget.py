import math

from export.precisions.budget import judge

PRIMARY = {"intent": "accuracy", "mood": "pearson"}
FP32 = {"intent": {"accuracy": 0.90, "f1_macro": 0.5}, "mood": {"pearson": 0.80, "mse": 1.0}}


def test_a_loss_within_the_budget_is_kept_and_a_gain_is_no_loss() -> None:
    reduced = {"intent": {"accuracy": 0.895, "f1_macro": 0.1}, "mood": {"pearson": 0.85, "mse": 9.0}}
    verdict = judge(FP32, reduced, primary=PRIMARY, budget=0.5)
    assert verdict.is_kept
    assert verdict.reason == "every task within 0.5 points; the most is +0.50 lost by intent"


def test_one_task_beyond_the_budget_is_enough_and_is_named() -> None:
    reduced = {"intent": {"accuracy": 0.90}, "mood": {"pearson": 0.79}}
    verdict = judge(FP32, reduced, primary=PRIMARY, budget=0.5)
    assert not verdict.is_kept
    assert verdict.reason == "mood loses 1.00 (pearson); 0.5 points are allowed"


def test_a_metric_that_is_no_number_is_no_evidence() -> None:
    reduced = {"intent": {"accuracy": 0.90}, "mood": {"pearson": math.nan}}
    assert not judge(FP32, reduced, primary=PRIMARY, budget=100).is_kept


def test_an_empty_budget_takes_what_loses_nothing() -> None:
    assert judge(FP32, FP32, primary=PRIMARY, budget=0).is_kept
