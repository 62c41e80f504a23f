import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.comparison import Transfer, comparison_table, transfers


def transfer(joint: float, single: float) -> Transfer:
    return Transfer(task="mood", metric="accuracy", joint=joint, single=single, steps=10)


def test_the_primary_metric_of_each_single_task_run_is_compared() -> None:
    joint = {"mood": {"accuracy": 0.8, "f1_macro": 0.1}, "same": {"accuracy": 0.5}}
    found = transfers(joint, {"mood": {"accuracy": 0.7, "f1_macro": 0.9}}, {"mood": 12})
    assert found == [Transfer(task="mood", metric="accuracy", joint=0.8, single=0.7, steps=12)]


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_transfer_seen_from_the_other_side_is_its_opposite(joint: float, single: float) -> None:
    opposite = {"even": "even", "positive": "negative", "negative": "positive"}
    assert transfer(single, joint).verdict() == opposite[transfer(joint, single).verdict()]


@pytest.mark.parametrize(
    ("joint", "single", "verdict"), [(0.80, 0.79, "even"), (0.82, 0.80, "positive"), (0.78, 0.80, "negative")]
)
def test_a_difference_within_the_margin_is_no_transfer(joint: float, single: float, verdict: str) -> None:
    assert transfer(joint, single).verdict() == verdict


def test_the_table_has_a_row_for_each_task_with_its_gain() -> None:
    lines = comparison_table([transfer(0.8, 0.7)]).splitlines()
    assert lines[-1] == "| mood | accuracy | 10 | 0.8000 | 0.7000 | +0.1000 | positive |"
