"""Start-time fair queuing, simulated: entries come and go on a virtual machine of one batch a step."""

import asyncio
import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from service.batching import BatchingPolicy, QueueEntry, select_batch
from service.fair_queue import FairQueue, QueueBudget
from service.priorities import WEIGHTS, FairShare, Priority
from tests.support.service_fakes import CHEAP, sequence

POLICY = BatchingPolicy(max_batch_tokens=20, max_queue_tokens=10**9, max_wait_s=4.0)
LENGTHS = st.integers(1, 30)


@dataclass
class Machine:
    """A queue that is served a batch a second."""

    now_s: float = 0.0
    queue: FairQueue = field(default_factory=lambda: FairQueue(QueueBudget(POLICY.max_queue_tokens)))
    served: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))

    def add(self, priority: Priority, num_tokens: int) -> QueueEntry:
        entry = QueueEntry(
            sequence=sequence(num_tokens),
            key=b"",
            arrived_s=self.now_s,
            deadline_s=1e9,
            future=asyncio.get_running_loop().create_future(),
        )
        self.queue.push(entry, priority)
        return entry

    def step(self) -> list[QueueEntry]:
        batch = select_batch(self.queue, self.now_s, POLICY, CHEAP).batch
        if batch:
            self.queue.take(batch)
        for entry in batch:
            self.served[entry.priority] += entry.num_tokens
        self.now_s += 1
        return batch

    def steps_until_served(self, entry: QueueEntry) -> int:
        for number in range(1, 10_000):
            if entry in self.step():
                return number
        raise AssertionError("starved")


@given(st.integers(1, 300), st.lists(LENGTHS, min_size=1, max_size=20))
async def test_a_newcomer_is_next_however_much_of_a_job_waits(job: int, lengths: list[int]) -> None:
    machine = Machine()
    for number in range(job):
        machine.add(Priority.BULK, lengths[number % len(lengths)])
    for _ in range(job // 20):
        machine.step()
    # One entry of the job may share its tag, and a long one may fill a batch of its own.
    assert machine.steps_until_served(machine.add(Priority.INTERACTIVE, 5)) <= 2


@given(st.lists(LENGTHS, min_size=1, max_size=20), LENGTHS, st.integers(20, 80))
async def test_no_flood_of_singles_starves_a_job(flood: list[int], length: int, tokens_a_step: int) -> None:
    machine = Machine()
    for _ in range(50):
        machine.add(Priority.INTERACTIVE, 20)
    waiting = machine.add(Priority.BULK, length)
    for step in range(2000):
        for number in range(tokens_a_step // 20 + 1):
            machine.add(Priority.INTERACTIVE, flood[(step + number) % len(flood)])
        if waiting in machine.step():
            return
    raise AssertionError("starved")


@given(LENGTHS, LENGTHS)
async def test_while_both_wait_each_gets_its_share_of_the_tokens(single: int, job: int) -> None:
    machine = Machine()
    for _ in range(3000 // single):
        machine.add(Priority.INTERACTIVE, single)
    for _ in range(3000 // job):
        machine.add(Priority.BULK, job)
    while 0 < machine.queue.urgent_tokens < machine.queue.tokens:
        machine.step()
    share = machine.served[Priority.INTERACTIVE] / sum(machine.served.values())
    expected = WEIGHTS[Priority.INTERACTIVE] / sum(WEIGHTS.values())
    assert abs(share - expected) < 0.1


@given(st.lists(LENGTHS, min_size=1, max_size=20), st.integers(0, 10), st.randoms(use_true_random=False))
async def test_a_job_that_is_withdrawn_leaves_no_tokens_and_no_debt(
    lengths: list[int], steps: int, shuffled: random.Random
) -> None:
    machine = Machine()
    for _ in range(10):
        machine.add(Priority.INTERACTIVE, 20)
    for _ in range(steps):
        machine.step()
    job = [machine.add(Priority.BULK, length) for length in lengths]
    shuffled.shuffle(job)
    for entry in job:
        machine.queue.withdraw(entry)
    assert machine.queue.tokens == machine.queue.urgent_tokens
    assert machine.steps_until_served(machine.add(Priority.BULK, 5)) <= 2


@given(st.lists(st.tuples(st.sampled_from(Priority), LENGTHS), max_size=60))
def test_tags_never_fall_within_a_priority(arrivals: list[tuple[Priority, int]]) -> None:
    shares = FairShare()
    last = dict.fromkeys(Priority, 0.0)
    for number, (priority, num_tokens) in enumerate(arrivals):
        tag = shares.tag(priority, num_tokens)
        assert tag >= last[priority]
        last[priority] = tag
        if number % 3 == 0:
            shares.serve(tag)
