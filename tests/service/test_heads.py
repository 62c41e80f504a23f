import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.manifest import HeadInput, Pooling, TaskEntry
from service.encoding import Encoding
from service.errors import InferenceFailed
from service.heads import INLINE_ROWS, Head, HeadRunner
from tests.support.service_fakes import HIDDEN_SIZE, FakeHeadSession, task


def encoding(value: float, *, num_tokens: int | None = None) -> Encoding:
    return Encoding(
        pooled={
            Pooling.MEAN: np.full(HIDDEN_SIZE, value, dtype=np.float32),
            Pooling.CLS: np.full(HIDDEN_SIZE, -value, dtype=np.float32),
        },
        states=None if num_tokens is None else np.full((num_tokens, HIDDEN_SIZE), value, dtype=np.float32),
    )


class FailsOn:
    """A head that fails where a row holds a number."""

    def __init__(self, value: float) -> None:
        self._value = value

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        if (inputs[HeadInput.POOLED] == self._value).any():
            raise RuntimeError("bad row")
        return inputs[HeadInput.POOLED][:, :2]


def head(entry: TaskEntry, session: Any = None) -> Head:
    return Head(task=entry, session=session or FakeHeadSession(entry.head.num_outputs), row_len=8)


def test_a_head_reads_its_own_pooling() -> None:
    rows = [(encoding(1.0),), (encoding(2.0),)]
    assert head(task(pooling="cls")).inputs(rows)[HeadInput.POOLED][:, 0].tolist() == [-1.0, -2.0]


def test_a_bi_encoded_pair_feeds_both_sides_in_order() -> None:
    pair = task("pair_regression", pair="bi_encoder", inputs=("pooled_a", "pooled_b"))
    inputs = head(pair).inputs([(encoding(1.0), encoding(2.0))])
    assert inputs[HeadInput.POOLED_A][0, 0] == 1.0
    assert inputs[HeadInput.POOLED_B][0, 0] == 2.0


def test_a_head_on_token_states_gets_packed_rows_in_order() -> None:
    tagging = task(inputs=("last_hidden_state", "segment_ids"))
    inputs = head(tagging).inputs([(encoding(float(n), num_tokens=n),) for n in (3, 6, 2)])
    assert inputs[HeadInput.SEGMENT_IDS].tolist() == [[0, 0, 0, -1, -1, -1, -1, -1], [1, 1, 1, 1, 1, 1, 2, 2]]
    assert inputs[HeadInput.LAST_HIDDEN_STATE][..., 0][1].tolist() == [6.0] * 6 + [2.0] * 2


def test_missing_token_states_are_an_error() -> None:
    with pytest.raises(ValueError, match="token states"):
        head(task(inputs=("last_hidden_state",))).inputs([(encoding(1.0),)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        head(task(), FailsOn(-1.0)).logits([(encoding(value),)])


async def test_calls_of_one_turn_run_each_head_once() -> None:
    session = FakeHeadSession(2)
    runner = HeadRunner({"t": head(task(), session)})
    results = await asyncio.gather(*(runner.run({"t": [(encoding(float(n)),)] * (n + 1)}) for n in range(4)))
    runner.close()
    assert session.calls == 1
    assert [len(each["t"]) for each in results] == [1, 2, 3, 4]
    for n, each in enumerate(results):
        np.testing.assert_allclose(
            each["t"][0], session.run({HeadInput.POOLED: encoding(float(n)).pooled[Pooling.MEAN]})
        )


async def test_a_failing_request_harms_none_of_its_tick_mates() -> None:
    runner = HeadRunner({"t": head(task(), FailsOn(3.0))})
    good, bad = await asyncio.gather(
        runner.run({"t": [(encoding(1.0),)]}), runner.run({"t": [(encoding(3.0),)]}), return_exceptions=True
    )
    runner.close()
    assert isinstance(bad, InferenceFailed)
    assert isinstance(good, dict)


async def test_many_rows_leave_the_event_loop_and_come_back_in_order() -> None:
    runner = HeadRunner({"t": head(task(), FailsOn(-1.0))})
    rows = [(encoding(float(n)),) for n in range(INLINE_ROWS + 1)]
    result = await runner.run({"t": rows})
    runner.close()
    assert result["t"][:, 0].tolist() == [float(n) for n in range(INLINE_ROWS + 1)]
