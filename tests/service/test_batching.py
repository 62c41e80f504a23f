"""``select_batch`` as properties. The futures belong to each test's own loop."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from service.batching import BatchingPolicy, QueueEntry, select_batch
from service.cost import CostModel
from tests.support.service_fakes import CHEAP, sequence

FAR_S = 1e9
POLICY = BatchingPolicy(max_batch_tokens=10, max_queue_tokens=1000, max_wait_s=1.0)


def entry(num_tokens: int, arrived_s: float = 0.0, deadline_s: float = FAR_S) -> QueueEntry:
    return QueueEntry(
        sequence=sequence(num_tokens),
        key=b"",
        arrived_s=arrived_s,
        deadline_s=deadline_s,
        future=asyncio.get_running_loop().create_future(),
    )


@given(st.lists(st.integers(1, 15), min_size=1, max_size=40))
async def test_a_batch_keeps_the_budget_unless_one_entry_alone_exceeds_it(lengths: list[int]) -> None:
    batch = select_batch([entry(n) for n in lengths], 0.0, POLICY, CHEAP).batch
    assert sum(each.num_tokens for each in batch) <= 10 or len(batch) == 1


@given(st.lists(st.integers(1, 15), min_size=1, max_size=40))
async def test_the_oldest_entry_always_goes_first(lengths: list[int]) -> None:
    queue = [entry(n) for n in lengths]
    assert select_batch(queue, 0.0, POLICY, CHEAP).batch[0] is queue[0]


@given(st.lists(st.integers(1, 15), min_size=1, max_size=40))
async def test_every_queue_is_emptied_in_the_end(lengths: list[int]) -> None:
    queue = [entry(n) for n in lengths]
    for _ in range(len(lengths)):
        batch = select_batch(queue, 0.0, POLICY, CHEAP).batch
        queue = [each for each in queue if each not in batch]
    assert not queue


async def test_a_short_entry_fills_the_room_that_a_long_one_left() -> None:
    first, long, short = entry(6), entry(8), entry(4)
    assert select_batch([first, long, short], 0.5, POLICY, CHEAP).batch == [first, short]


async def test_nothing_overtakes_an_entry_that_has_waited_long() -> None:
    first, long, short = entry(6), entry(8), entry(4)
    assert select_batch([first, long, short], 1.0, POLICY, CHEAP).batch == [first]


async def test_a_long_text_does_not_starve_under_a_flood_of_short_ones() -> None:
    long = entry(9, arrived_s=0.0)
    queue = [entry(2), long]
    for turn in range(1, 5):
        now_s = 0.1 * turn
        queue += [entry(2, arrived_s=now_s) for _ in range(20)]
        batch = select_batch(queue, now_s, POLICY, CHEAP).batch
        if long in batch:
            break
        queue = [each for each in queue if each not in batch]
    assert turn == 2, "the first batch passes it over, the second takes it as the oldest"


async def test_cancelled_entries_are_dropped_before_compute() -> None:
    gone, there = entry(5), entry(5)
    gone.future.cancel()
    selection = select_batch([gone, there], 0.0, POLICY, CHEAP)
    assert selection.cancelled == [gone]
    assert selection.batch == [there]


async def test_expired_entries_are_dropped_before_compute() -> None:
    late, there = entry(5, deadline_s=1.0), entry(5)
    selection = select_batch([late, there], 2.0, POLICY, CHEAP)
    assert selection.expired == [late]
    assert selection.batch == [there]


async def test_an_entry_that_cannot_be_done_in_time_counts_as_expired() -> None:
    slow = CostModel(fixed_s=0.0, per_token_s=1.0, per_attention_s=0.0)
    hopeless, possible = entry(5, deadline_s=4.0), entry(3, deadline_s=4.0)
    selection = select_batch([hopeless, possible], 0.0, POLICY, slow)
    assert selection.expired == [hopeless]
    assert selection.batch == [possible]


@given(st.lists(st.integers(1, 15), min_size=1, max_size=40))
async def test_a_prediction_alone_never_leaves_the_encoder_idle(lengths: list[int]) -> None:
    slow = CostModel(fixed_s=5.0, per_token_s=0.0, per_attention_s=0.0)
    queue = [entry(n, deadline_s=4.0) for n in lengths]
    selection = select_batch(queue, 0.0, POLICY, slow)
    assert selection.batch == select_batch(queue, 0.0, POLICY, CHEAP).batch
    assert not selection.expired, "the model may be wrong: only running something corrects it"
    assert select_batch(queue, 4.0, POLICY, slow).expired == queue


async def test_an_empty_queue_gives_an_empty_batch() -> None:
    assert not select_batch([], 0.0, POLICY, CHEAP).batch
