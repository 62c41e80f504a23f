import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from export.manifest import Pooling
from service.batcher import Batcher
from service.batching import BatchingPolicy, QueueEntry
from service.cost import CostModel
from service.encoding import Encoding
from service.errors import DeadlineExceeded, InferenceFailed, NotReady, Overloaded, RequestTooLarge
from service.lanes import Crew
from service.priorities import Priority
from service.tokenization import TokenizedInput
from tests.support.service_fakes import CHEAP, PATIENCE_S, POISON_ID, FakeClock, sequence, tokens

FAR_S = 1e9
POLICY = BatchingPolicy(max_batch_tokens=10, max_queue_tokens=40, max_wait_s=1.0)
SLOW = CostModel(fixed_s=0.0, per_token_s=1.0, per_attention_s=0.0)


class Encoder:
    """Encodes a sequence to its first token, and can be held inside a batch."""

    def __init__(self) -> None:
        self.batches: list[list[TokenizedInput]] = []
        self.crews: list[Crew] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.arrivals = threading.Semaphore(0)

    def __call__(self, sequences: Sequence[TokenizedInput], crew: Crew) -> list[Encoding]:
        self.crews.append(crew)
        self.entered.set()
        self.arrivals.release()
        assert self.gate.wait(PATIENCE_S), "nobody opened the gate"
        self.batches.append(list(sequences))
        if any(POISON_ID in each.input_ids for each in sequences):
            raise RuntimeError("poisoned")
        return [
            Encoding(pooled={Pooling.CLS: each.input_ids[:1].astype(np.float32)}, states=None)
            for each in sequences
        ]

    async def hold(self, batcher: Batcher) -> QueueEntry:
        """Block the encoder inside a batch of its own."""
        self.gate.clear()
        self.entered.clear()
        (entry,) = batcher.submit([(b"held", sequence(1))], deadline_s=FAR_S)
        await asyncio.to_thread(self.entered.wait, PATIENCE_S)
        return entry


@asynccontextmanager
async def started(
    encoder: Encoder,
    cost: CostModel = CHEAP,
    clock: Callable[[], float] | None = None,
    lanes: int = 1,
    policy: BatchingPolicy = POLICY,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(encoder, policy=policy, cost=cost, row_len=10, lanes=lanes, clock=clock or FakeClock())
    batcher.start()
    try:
        yield batcher
    finally:
        encoder.gate.set()
        await batcher.close()


def submit(batcher: Batcher, *sequences: TokenizedInput, deadline_s: float = FAR_S) -> list[QueueEntry]:
    return batcher.submit([(b"", each) for each in sequences], deadline_s=deadline_s)


async def first_token(entry: QueueEntry) -> float:
    encoding = await entry.future
    return float(encoding.pooled[Pooling.CLS][0])


async def test_what_is_submitted_in_one_turn_shares_a_batch() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        entries = [*submit(batcher, sequence(3, 10)), *submit(batcher, sequence(3, 20), sequence(3, 30))]
        assert [await first_token(each) for each in entries] == [10, 20, 30]
    assert [len(batch) for batch in encoder.batches] == [3]


async def test_what_arrives_while_a_batch_computes_shares_the_next() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        held = await encoder.hold(batcher)
        entries = [submit(batcher, sequence(2, first))[0] for first in (10, 20, 30)]
        encoder.gate.set()
        await asyncio.gather(held.future, *(each.future for each in entries))
    assert [len(batch) for batch in encoder.batches] == [1, 3]


async def test_only_a_full_batch_is_prefetched() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        await encoder.hold(batcher)
        submit(batcher, sequence(6))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_tokens == 6, "part-filled: waits for company"
        submit(batcher, sequence(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_tokens == 0, "full: handed over behind the running one"
        entries = submit(batcher, sequence(10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_tokens == 10, "one prefetched batch is the most"
        encoder.gate.set()
        await entries[0].future


async def test_lanes_compute_at_the_same_time_and_share_what_waits() -> None:
    encoder = Encoder()
    encoder.gate.clear()
    policy = BatchingPolicy(max_batch_tokens=40, max_queue_tokens=400, max_wait_s=1.0)
    async with started(encoder, lanes=2, policy=policy) as batcher:
        entries = [submit(batcher, sequence(20, first))[0] for first in range(100, 1100, 100)]
        for _ in range(2):
            assert await asyncio.to_thread(encoder.arrivals.acquire, timeout=PATIENCE_S)
        assert batcher.queue_len == 10 - 2 - 2, "two batches of forty tokens are under way, none behind them"
        encoder.gate.set()
        assert [await first_token(each) for each in entries] == list(range(100, 1100, 100))
    assert encoder.crews[:2] == [Crew.LANE, Crew.LANE]


async def test_what_comes_alone_is_computed_by_all_and_others_wait_for_it() -> None:
    encoder = Encoder()
    async with started(encoder, lanes=2) as batcher:
        held = await encoder.hold(batcher)
        (entry,) = submit(batcher, sequence(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_len == 1
        encoder.gate.set()
        await asyncio.gather(held.future, entry.future)
    assert encoder.crews == [Crew.ALL, Crew.ALL]


async def test_a_failing_item_harms_none_of_its_batch_mates() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        good, bad, other = submit(batcher, sequence(3, 10), tokens(POISON_ID), sequence(3, 20))
        assert await first_token(good) == 10
        assert await first_token(other) == 20
        with pytest.raises(InferenceFailed):
            await bad.future
    assert [len(batch) for batch in encoder.batches] == [3, 1, 1, 1]


async def test_the_batcher_goes_on_after_a_failure() -> None:
    async with started(Encoder()) as batcher:
        (bad,) = submit(batcher, tokens(POISON_ID))
        with pytest.raises(InferenceFailed):
            await bad.future
        (good,) = submit(batcher, sequence(3, 10))
        assert await first_token(good) == 10


async def test_an_item_larger_than_the_budget_goes_alone() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        entries = submit(batcher, sequence(4), sequence(25), sequence(4))
        await asyncio.gather(*(each.future for each in entries))
    assert [sorted(each.num_tokens for each in batch) for batch in encoder.batches] == [[4, 4], [25]]


async def test_a_cancelled_entry_is_not_computed_and_frees_its_place_at_once() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        held = await encoder.hold(batcher)
        kept, left = submit(batcher, sequence(3, 10), sequence(3, 20))
        left.future.cancel()
        await asyncio.sleep(0)
        assert batcher.queue_tokens == 3
        encoder.gate.set()
        assert await first_token(kept) == 10
        await held.future
    assert [len(batch) for batch in encoder.batches] == [1, 1]


async def test_a_prefetched_entry_that_is_cancelled_is_not_computed_either() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        await encoder.hold(batcher)
        kept, left = submit(batcher, sequence(5, 10), sequence(5, 20))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_len == 0, "prefetched"
        left.future.cancel()
        encoder.gate.set()
        assert await first_token(kept) == 10
    assert [len(batch) for batch in encoder.batches] == [1, 1]


async def test_an_expired_entry_fails_with_a_deadline_error_and_is_not_computed() -> None:
    encoder, clock = Encoder(), FakeClock()
    async with started(encoder, clock=clock) as batcher:
        held = await encoder.hold(batcher)
        (late,) = submit(batcher, sequence(3), deadline_s=5.0)
        clock.advance(6.0)
        encoder.gate.set()
        with pytest.raises(DeadlineExceeded):
            await late.future
        await held.future
    assert [len(batch) for batch in encoder.batches] == [1]


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    encoder = Encoder()
    async with started(encoder, cost=SLOW) as batcher:
        await encoder.hold(batcher)
        submit(batcher, *[sequence(9)] * 4)
        with pytest.raises(Overloaded) as refusal:
            submit(batcher, sequence(9), sequence(9))
        # one batch may have been prefetched: what counts is what would have to leave first
        excess = batcher.queue_tokens + 18 - 40
        assert excess > 0
        assert refusal.value.retry_after_s >= excess
        encoder.gate.set()


async def test_a_refused_request_leaves_nothing_in_the_queue() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        await encoder.hold(batcher)
        submit(batcher, *[sequence(4)] * 9)
        waiting = batcher.queue_tokens
        with pytest.raises(Overloaded):
            submit(batcher, *[sequence(4)] * 9)
        assert batcher.queue_tokens == waiting
        encoder.gate.set()


async def test_a_request_beyond_the_whole_queue_is_too_large_rather_than_early() -> None:
    async with started(Encoder()) as batcher:
        with pytest.raises(RequestTooLarge, match="Split it"):
            submit(batcher, *[sequence(9)] * 5)


async def test_a_result_that_nobody_waits_for_is_still_told() -> None:
    encoder, told = Encoder(), list[bytes]()
    batcher = Batcher(
        encoder,
        policy=POLICY,
        cost=CHEAP,
        row_len=10,
        on_encoded=lambda entry, _: told.append(entry.key),
        clock=FakeClock(),
    )
    batcher.start()
    held = await encoder.hold(batcher)
    held.future.cancel()
    encoder.gate.set()
    (after,) = submit(batcher, sequence(2))
    await after.future
    await batcher.close()
    assert told == [b"held", b""]


async def test_closing_refuses_what_still_waits() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        await encoder.hold(batcher)
        (waiting,) = submit(batcher, sequence(3))
        encoder.gate.set()
        await batcher.close()
        with pytest.raises(NotReady):
            await waiting.future


async def test_closing_refuses_what_was_handed_over_behind_a_running_batch_and_whoever_comes_later() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        held = await encoder.hold(batcher)
        behind = submit(batcher, sequence(5), sequence(5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_len == 0, "prefetched"
        closing = asyncio.create_task(batcher.close())
        for each in behind:
            with pytest.raises(NotReady):
                await asyncio.wait_for(each.future, PATIENCE_S)
        with pytest.raises(NotReady):
            submit(batcher, sequence(1))
        encoder.gate.set()
        await closing
        assert await first_token(held) == 10
    assert [len(batch) for batch in encoder.batches] == [1]


async def test_a_single_text_overtakes_a_job_that_waits() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        held = await encoder.hold(batcher)
        job = batcher.submit(
            [(b"", sequence(5, 100 + number)) for number in range(6)],
            deadline_s=FAR_S,
            priority=Priority.BULK,
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # a full batch of the job is prefetched
        (single,) = submit(batcher, sequence(5, 10))
        encoder.gate.set()
        await asyncio.gather(held.future, single.future, *(each.future for each in job))
    firsts = [[int(each.input_ids[0]) for each in batch] for batch in encoder.batches]
    assert firsts[1] == [100, 101]
    assert 10 in firsts[2]


async def test_what_a_job_queued_goes_with_the_singles_once_somebody_waits_for_it() -> None:
    encoder = Encoder()
    async with started(encoder) as batcher:
        held = await encoder.hold(batcher)
        job = batcher.submit(
            [(b"", sequence(5, 100 + number)) for number in range(7)],
            deadline_s=FAR_S,
            priority=Priority.BULK,
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        batcher.promote(job[0])  # prefetched: nothing changes
        batcher.promote(job[-1])
        assert batcher.queue_tokens == 25
        encoder.gate.set()
        await asyncio.gather(held.future, *(each.future for each in job))
    firsts = [[int(each.input_ids[0]) for each in batch] for batch in encoder.batches]
    assert 106 in firsts[2]


async def test_what_expires_behind_a_running_batch_is_not_computed() -> None:
    encoder, clock = Encoder(), FakeClock()
    async with started(encoder, clock=clock) as batcher:
        held = await encoder.hold(batcher)
        late, _ = submit(batcher, sequence(5), sequence(5), deadline_s=5.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.queue_len == 0, "prefetched"
        clock.advance(6.0)
        encoder.gate.set()
        with pytest.raises(DeadlineExceeded):
            await late.future
        await held.future
    assert [len(batch) for batch in encoder.batches] == [1]


def expire(_batcher: Batcher, _entry: QueueEntry, clock: FakeClock) -> None:
    clock.advance(6.0)


def cancel(_batcher: Batcher, entry: QueueEntry, _clock: FakeClock) -> None:
    entry.future.cancel()


def promote(batcher: Batcher, entry: QueueEntry, _clock: FakeClock) -> None:
    batcher.promote(entry)


@pytest.mark.parametrize("leave", [expire, cancel, promote])
async def test_nobody_owes_for_a_job_that_left_uncomputed(
    leave: Callable[[Batcher, QueueEntry, FakeClock], None],
) -> None:
    encoder, clock = Encoder(), FakeClock()
    async with started(encoder, clock=clock) as batcher:
        held = await encoder.hold(batcher)
        (job,) = batcher.submit([(b"", sequence(8))], deadline_s=5.0, priority=Priority.BULK)
        (single,) = submit(batcher, sequence(1))
        leave(batcher, job, clock)
        encoder.gate.set()
        await asyncio.gather(held.future, single.future, job.future, return_exceptions=True)
        (newcomer,) = batcher.submit([(b"", sequence(8))], deadline_s=FAR_S, priority=Priority.BULK)
        (other,) = submit(batcher, sequence(1))
        assert newcomer.start_tag <= other.start_tag
        await asyncio.gather(newcomer.future, other.future)
