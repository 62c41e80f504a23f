"""Start-time fair queuing, simulated: entries come and go on a virtual machine of one batch a step."""

import asyncio
from dataclasses import dataclass, field
from heapq import merge

from hypothesis import given
from hypothesis import strategies as st

from service.batching import BatchingPolicy, QueueEntry, select_batch
from service.priorities import WEIGHTS, FairShare, Priority
from tests.support.service_fakes import CHEAP, sequence

POLICY = BatchingPolicy(max_batch_tokens=20, max_queue_tokens=10**9, max_wait_s=4.0)
LENGTHS = st.integers(1, 30)


@dataclass
class Machine:
    """A queue that is served a batch a second."""

    now_s: float = 0.0
    shares: FairShare = field(default_factory=FairShare)
    queues: dict[Priority, list[QueueEntry]] = field(default_factory=lambda: {each: [] for each in Priority})
    served: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))

    def add(self, priority: Priority, num_tokens: int) -> QueueEntry:
        entry = QueueEntry(
            sequence=sequence(num_tokens),
            key=b"",
            arrived_s=self.now_s,
            deadline_s=1e9,
            future=asyncio.get_running_loop().create_future(),
            priority=priority,
            start_tag=self.shares.tag(priority, num_tokens),
        )
        self.queues[priority].append(entry)
        return entry

    def step(self) -> list[QueueEntry]:
        in_order = merge(*self.queues.values(), key=lambda entry: entry.start_tag)
        batch = select_batch(in_order, self.now_s, POLICY, CHEAP).batch
        for entry in batch:
            self.queues[entry.priority].remove(entry)
            self.served[entry.priority] += entry.num_tokens
        if batch:
            self.shares.serve(batch[0].start_tag)
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
    while all(machine.queues.values()):
        machine.step()
    share = machine.served[Priority.INTERACTIVE] / sum(machine.served.values())
    expected = WEIGHTS[Priority.INTERACTIVE] / sum(WEIGHTS.values())
    assert abs(share - expected) < 0.1


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
