import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.comparison.runs import result
from training.comparison.results import RunResult
from training.comparison.summary import MARGIN, MEAN, Difference, Row, Summary, summarise
from training.comparison.tables import transfer_table, variants_table


def summary_of(*results: RunResult) -> Summary:
    found = summarise(results, baseline="plain")
    assert found is not None
    return found


def row(summary: Summary, name: str) -> Row:
    return next(each for each in summary.rows if each.name == name)


def test_the_primary_metric_is_the_first_and_the_mean_is_over_the_tasks() -> None:
    summary = summary_of(result("plain", mood=0.4, same=0.8))
    assert summary.metrics == {"mood": "accuracy", "same": "accuracy"}
    assert summary.baseline.mean(MEAN) == pytest.approx(0.6)
    assert summary.baseline.spread("mood") is None


def test_the_tasks_own_runs_of_a_seed_count_as_one() -> None:
    summary = summary_of(
        result("plain", mood=0.4, same=0.8),
        result("alone.mood", task="mood", mood=0.5),
        result("alone.same", task="same", same=0.7),
    )
    assert summary.alone is not None
    assert summary.alone.mean(MEAN) == pytest.approx(0.6)
    assert summary.alone.batches == {"mood": 5, "same": 5}


def test_the_models_of_the_tasks_alone_are_counted_together() -> None:
    alone = [
        result(f"alone.{task}", seed, task=task, parameters=size, **{task: 0.5})
        for seed in (0, 1)
        for task, size in (("mood", 1_200_000), ("same", 300_000))
    ]
    joint = [result("plain", seed, parameters=1_250_000, mood=0.4, same=0.8) for seed in (0, 1)]
    table = variants_table(summary_of(*joint, *alone, result("unknown", mood=0.1, same=0.1)))
    column = table.header.index("trained")
    assert {line[0]: line[column] for line in table.rows} == {
        "plain": "1.25 M", "unknown": "-", "alone": "1.50 M",
    }  # fmt: skip


def test_where_no_result_counts_parameters_there_is_no_column_of_them() -> None:
    table = variants_table(summary_of(result("plain", mood=0.4)))
    assert "trained" not in table.header
    assert {len(line) for line in table.rows} == {len(table.header)}


def test_a_task_alone_without_the_others_has_no_mean() -> None:
    summary = summary_of(result("plain", mood=0.4, same=0.8), result("alone.mood", task="mood", mood=0.5))
    assert summary.alone is not None
    assert summary.alone.mean(MEAN) is None
    assert summary.difference(summary.baseline, summary.alone, MEAN) is None
    assert summary.difference(summary.baseline, summary.alone, "mood") is not None
    assert "| same | - |" not in transfer_table_of(summary)


def transfer_table_of(summary: Summary) -> str:
    table = transfer_table(summary)
    assert table is not None
    return table.markdown()


values = st.lists(st.floats(0, 1), min_size=2, max_size=5)


@given(values, values)
def test_the_pooled_spread_lies_between_the_variants_own(first: list[float], second: list[float]) -> None:
    runs = [result("plain", seed, mood=value) for seed, value in enumerate(first)]
    runs += [result("other", seed, mood=value) for seed, value in enumerate(second)]
    own = [statistics.stdev(first), statistics.stdev(second)]
    assert min(own) - 1e-9 <= summary_of(*runs).spreads["mood"] <= max(own) + 1e-9


def test_a_difference_has_the_standard_error_of_two_means() -> None:
    runs = [result("plain", seed, mood=value) for seed, value in enumerate((0.5, 0.52, 0.54))]
    summary = summary_of(*runs, result("other", mood=0.6))
    found = summary.difference(row(summary, "other"), summary.baseline, "mood")
    assert found is not None
    assert found.value == pytest.approx(0.08)
    assert found.error == pytest.approx(0.02 * math.sqrt(1 + 1 / 3))
    assert found.is_clear


@given(st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(0, 0.1))
def test_a_difference_seen_from_the_other_side_is_its_opposite(
    joint: float, alone: float, error: float | None
) -> None:
    opposite = {"even": "even", "positive": "negative", "negative": "positive"}
    there, back = (Difference(value=each, error=error) for each in (joint - alone, alone - joint))
    assert back.verdict == opposite[there.verdict]


@pytest.mark.parametrize(("value", "verdict"), [(0.01, "even"), (0.02, "positive"), (-0.02, "negative")])
def test_without_a_repeated_run_a_margin_decides(value: float, verdict: str) -> None:
    assert 0.01 < MARGIN < 0.02
    assert Difference(value=value, error=None).verdict == verdict


def test_negative_transfer_names_the_tasks_that_are_clearly_worse_than_alone() -> None:
    summary = summary_of(
        result("plain", mood=0.4, same=0.8),
        result("better", mood=0.6, same=0.79),
        result("alone.mood", task="mood", mood=0.5),
        result("alone.same", task="same", same=0.8),
    )
    assert summary.negative_transfer(summary.baseline) == ["mood"]
    assert summary.negative_transfer(row(summary, "better")) == []
    table = variants_table(summary)
    assert [line[0] for line in table.rows] == ["better", "plain", "alone"], "the best mean first"
    assert table.rows[1][table.header.index("negative transfer")] == "mood"
    assert table.rows[0][table.header.index("vs plain")] == "**+0.0950**"


def test_the_transfer_table_has_a_row_for_each_task_with_its_gain() -> None:
    summary = summary_of(result("plain", mood=0.8), result("alone.mood", task="mood", mood=0.7))
    lines = transfer_table_of(summary).splitlines()
    assert lines[-1] == "| mood | accuracy | 5 | 0.8000 | 0.7000 | **+0.1000** | positive |"


def test_a_variant_without_a_task_is_compared_in_the_others() -> None:
    summary = summary_of(result("plain", mood=0.4, same=0.8), result("pair", mood=0.9))
    pair = row(summary, "pair")
    assert pair.mean(MEAN) is None
    assert summary.rows[-1] is pair
    assert summary.difference(pair, summary.baseline, "same") is None


def test_there_is_nothing_to_say_before_the_baseline() -> None:
    assert summarise([result("other", mood=0.5)], baseline="plain") is None
