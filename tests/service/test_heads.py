import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from export.manifest import PADDING_SEGMENT, HeadInput, Pooling, TaskEntry
from service.encoding import Encoding
from service.errors import InferenceFailed
from service.heads import INLINE_ROWS, MAX_TOKENS, Head, HeadRunner
from tests.support.service_fakes import HIDDEN_SIZE, STATES, FakeHeadSession, task


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
    assert head(task(pooling="cls")).pooled_inputs(rows)[HeadInput.POOLED][:, 0].tolist() == [-1.0, -2.0]


def test_a_bi_encoded_pair_feeds_both_sides_in_order() -> None:
    pair = task("pair_regression", pair="bi_encoder")
    inputs = head(pair).pooled_inputs([(encoding(1.0), encoding(2.0))])
    assert inputs[HeadInput.POOLED_A][0, 0] == 1.0
    assert inputs[HeadInput.POOLED_B][0, 0] == 2.0


class SeesStates:
    """Keeps what a head over token states is given, and answers the first numbers of each token."""

    def __init__(self) -> None:
        self.inputs: Mapping[HeadInput, NDArray[Any]] = {}

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        self.inputs = inputs
        return inputs[HeadInput.LAST_HIDDEN_STATE][..., :2]


def test_a_head_on_token_states_gets_packed_rows_in_order() -> None:
    session = SeesStates()
    tagging = head(task("tagging", inputs=STATES), session)
    tagging.logits([(encoding(float(n), num_tokens=n),) for n in (3, 6, 2)])
    assert session.inputs[HeadInput.SEGMENT_IDS].tolist() == [
        [0, 0, 0, -1, -1, -1, -1, -1],
        [1, 1, 1, 1, 1, 1, 2, 2],
    ]
    assert session.inputs[HeadInput.LAST_HIDDEN_STATE][1, :, 0].tolist() == [6.0] * 6 + [2.0] * 2


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_token_level_logits_are_those_of_each_sequences_own_tokens_in_order(lengths: list[int]) -> None:
    tagging = head(task("tagging"), SeesStates())
    rows = [(encoding(float(n), num_tokens=length),) for n, length in enumerate(lengths)]
    expected = [float(n) for n, length in enumerate(lengths) for _ in range(length)]
    assert tagging.logits(rows)[:, 0].tolist() == expected
    assert tagging.num_logits(rows) == len(expected)


def test_a_sequence_level_head_on_token_states_gives_a_row_for_each_sequence() -> None:
    classification = head(task(inputs=STATES))
    assert classification.logits([(encoding(1.0, num_tokens=n),) for n in (3, 6, 2)]).shape == (3, 2)


def test_layered_vectors_reach_the_head_as_they_are() -> None:
    layers = np.arange(3 * HIDDEN_SIZE, dtype=np.float32).reshape(3, HIDDEN_SIZE)
    mixed = task(pooling="mean_layers")
    rows = [(Encoding(pooled={Pooling.MEAN_LAYERS: layers}, states=None),)] * 2
    assert head(mixed).pooled_inputs(rows)[HeadInput.POOLED].shape == (2, 3, HIDDEN_SIZE)


class CountsTokens(SeesStates):
    """Keeps how many tokens each run is given."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[int] = []

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        self.tokens.append(int((inputs[HeadInput.SEGMENT_IDS] != PADDING_SEGMENT).sum()))
        return super().run(inputs)


class CountsSequences(FakeHeadSession):
    """Keeps how many sequences each run is given."""

    def __init__(self) -> None:
        super().__init__(2)
        self.sequences: list[int] = []

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        self.sequences.append(int(inputs[HeadInput.SEGMENT_IDS].max()) + 1)
        return super().run(inputs)


def test_copies_of_a_text_cost_a_head_on_token_states_as_much_as_one() -> None:
    session = CountsTokens()
    tagging = head(task("tagging", inputs=STATES), session)
    copied, other = encoding(1.0, num_tokens=20), encoding(2.0, num_tokens=3)
    logits = tagging.logits([(copied,)] * 500 + [(other,)] + [(copied,)] * 500)
    assert session.tokens == [23]
    assert logits[:, 0].tolist() == [1.0] * 10_000 + [2.0] * 3 + [1.0] * 10_000


def test_copies_of_a_text_share_a_run_of_a_sequence_level_head() -> None:
    session = CountsSequences()
    rows = [(encoding(float(n % 3), num_tokens=n % 3 + 1),) for n in range(3)] * 4
    classification = head(task(inputs=STATES), session)
    together = classification.logits(rows)
    assert session.sequences == [3]
    alone = np.concatenate([classification.logits([row]) for row in rows])
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@given(st.lists(st.integers(1, 3 * MAX_TOKENS // 2), min_size=1, max_size=12))
def test_a_head_on_token_states_is_given_a_bounded_number_of_tokens_at_once(lengths: list[int]) -> None:
    session = CountsTokens()
    tagging = head(task("tagging", inputs=STATES), session)
    logits = tagging.logits([(encoding(float(n), num_tokens=length),) for n, length in enumerate(lengths)])
    assert sum(session.tokens) == sum(lengths)
    assert all(count <= MAX_TOKENS or count in lengths for count in session.tokens)
    assert logits[:, 0].tolist() == [float(n) for n, length in enumerate(lengths) for _ in range(length)]


def test_missing_token_states_are_an_error() -> None:
    with pytest.raises(ValueError, match="token states"):
        head(task("tagging")).logits([(encoding(1.0),)])


def test_a_head_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3\), expected \(1, 2\)"):
        head(task(), FakeHeadSession(3)).logits([(encoding(1.0),)])


async def test_heads_on_token_states_leave_the_event_loop() -> None:
    class SeesThread(SeesStates):
        def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
            self.thread = threading.current_thread()
            return super().run(inputs)

    session = SeesThread()
    runner = HeadRunner({"t": head(task("tagging"), session)})
    first, second = await asyncio.gather(
        runner.run({"t": [(encoding(1.0, num_tokens=3),)]}),
        runner.run({"t": [(encoding(2.0, num_tokens=2),)]}),
    )
    runner.close()
    assert session.thread is not threading.current_thread()
    assert first["t"][:, 0].tolist() == [1.0] * 3
    assert second["t"][:, 0].tolist() == [2.0] * 2


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


async def test_what_is_quick_is_computed_before_the_loop_turns_if_asked() -> None:
    session = FakeHeadSession(2)
    runner = HeadRunner({"t": head(task(), session)})
    rows = {"t": [(encoding(2.0),)]}
    steps = runner.run_at_once(rows)
    with pytest.raises(StopIteration) as ended:
        steps.send(None)
    later = await runner.run(rows)
    runner.close()
    np.testing.assert_array_equal(ended.value.value["t"], later["t"])


@pytest.mark.parametrize("count", [1, INLINE_ROWS + 1])
async def test_a_head_that_fails_at_once_is_the_same_error(count: int) -> None:
    runner = HeadRunner({"t": head(task(), FailsOn(3.0))})
    with pytest.raises(InferenceFailed):
        await runner.run_at_once({"t": [(encoding(3.0),)] * count})
    runner.close()
    assert runner.failed_runs["t"] == 1


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
