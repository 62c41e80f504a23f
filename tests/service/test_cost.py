from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cost import REFIT_AFTER, REFIT_EVERY_S, WINDOW, CostModel, CostSample, RefittedCost, fit_cost

SHAPES = [(1, 16), (1, 64), (1, 128), (4, 128), (16, 128)]
TERMS = st.floats(1e-6, 1e-2)


@given(TERMS, TERMS, TERMS)
def test_the_fit_recovers_a_model_from_its_own_times(fixed: float, token: float, attention: float) -> None:
    truth = CostModel(fixed_s=fixed, per_token_s=token, per_attention_s=attention)
    samples = [CostSample(rows=r, row_len=n, seconds=truth.batch_s(r, n)) for r, n in SHAPES]
    found = fit_cost(samples)
    for rows, row_len in SHAPES:
        assert found.batch_s(rows, row_len) == pytest.approx(truth.batch_s(rows, row_len), rel=1e-3)


@given(st.lists(st.floats(1e-5, 1.0), min_size=5, max_size=5))
def test_no_term_is_negative_whatever_was_measured(seconds: list[float]) -> None:
    found = fit_cost(
        [CostSample(rows=r, row_len=n, seconds=s) for (r, n), s in zip(SHAPES, seconds, strict=True)]
    )
    assert min(found.fixed_s, found.per_token_s, found.per_attention_s) >= 0


def test_a_backlog_costs_its_batches_and_rows() -> None:
    cost = CostModel(fixed_s=1.0, per_token_s=0.1, per_attention_s=0.0)
    assert cost.backlog_s(200, max_batch_tokens=100, row_len=50) == pytest.approx(2 * 1.0 + 200 * 0.1)
    assert cost.backlog_s(0, max_batch_tokens=100, row_len=50) == 0


def test_no_measurement_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_cost([])


FIRST = CostModel(fixed_s=0.001, per_token_s=0.0001, per_attention_s=1e-7)


def refitted() -> RefittedCost:
    """On a clock by which batches are a fit's time apart, so that their number alone tells."""
    return RefittedCost(FIRST, clock=count(step=REFIT_EVERY_S).__next__)


def saw(cost: RefittedCost, model: CostModel, batches: int) -> None:
    for number in range(batches):
        rows, row_len = SHAPES[number % len(SHAPES)]
        cost.saw(CostSample(rows=rows, row_len=row_len, seconds=model.batch_s(rows, row_len)))


def test_the_model_follows_a_machine_that_got_slower() -> None:
    cost = refitted()
    slower = CostModel(fixed_s=0.003, per_token_s=0.0003, per_attention_s=3e-7)
    saw(cost, slower, REFIT_AFTER - 1)
    assert cost.model is FIRST, "not before there are some batches to believe"
    saw(cost, slower, WINDOW)
    for rows, row_len in SHAPES:
        assert cost.model.batch_s(rows, row_len) == pytest.approx(slower.batch_s(rows, row_len), rel=0.01)


def test_a_burst_of_batches_is_fitted_once_a_second() -> None:
    now_s = 0.0
    cost = RefittedCost(FIRST, clock=lambda: now_s)
    slower = CostModel(fixed_s=0.003, per_token_s=0.0003, per_attention_s=3e-7)
    saw(cost, slower, REFIT_AFTER)
    fitted = cost.model
    assert fitted is not FIRST, "the first fit waits for no time"
    saw(cost, slower, WINDOW)
    assert cost.model is fitted
    now_s = REFIT_EVERY_S
    saw(cost, slower, 1)
    assert cost.model is not fitted


def test_what_is_long_past_is_forgotten() -> None:
    slow = CostModel(fixed_s=1.0, per_token_s=0.1, per_attention_s=0.0)
    cost, fresh = refitted(), refitted()
    saw(cost, slow, WINDOW)
    saw(cost, FIRST, WINDOW)
    saw(fresh, FIRST, WINDOW)
    for rows, row_len in SHAPES:
        assert cost.model.batch_s(rows, row_len) == pytest.approx(fresh.model.batch_s(rows, row_len))


def test_lanes_may_report_at_the_same_time() -> None:
    cost = refitted()
    with ThreadPoolExecutor(4) as lanes:
        for done in [lanes.submit(saw, cost, FIRST, 20 * WINDOW) for _ in range(4)]:
            done.result()
    assert cost.model.batch_s(1, 64) == pytest.approx(FIRST.batch_s(1, 64), rel=0.01)


@given(st.lists(st.floats(1e-9, 10.0), min_size=REFIT_AFTER, max_size=2 * WINDOW))
def test_no_term_gets_negative_whatever_the_batches_took(seconds: list[float]) -> None:
    cost = refitted()
    for number, each in enumerate(seconds):
        rows, row_len = SHAPES[number % 2]
        cost.saw(CostSample(rows=rows, row_len=row_len, seconds=each))
    assert min(cost.model.fixed_s, cost.model.per_token_s, cost.model.per_attention_s) >= 0
