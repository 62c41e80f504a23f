import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cost import CostModel, CostSample, fit_cost

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
