import asyncio

import numpy as np

from export.manifest import Pooling
from service.batching import QueueEntry
from service.encoding import Encoding
from service.single_flight import SingleFlight
from tests.support.service_fakes import sequence

RESULT = Encoding(pooled={Pooling.CLS: np.zeros(1, dtype=np.float32)}, states=None)


def entry(deadline_s: float = 1.0) -> QueueEntry:
    future: asyncio.Future[Encoding] = asyncio.get_running_loop().create_future()
    return QueueEntry(sequence=sequence(3), key=b"k", arrived_s=0.0, deadline_s=deadline_s, future=future)


async def test_a_flight_is_found_until_it_lands() -> None:
    flights, queued = SingleFlight(), entry()
    flight = flights.open(queued)
    assert flights.find(b"k") is flight
    queued.future.set_result(RESULT)
    await asyncio.sleep(0)
    assert flights.find(b"k") is None
    assert len(flights) == 0


async def test_only_the_last_one_to_leave_cancels() -> None:
    flight = SingleFlight().open(entry())
    flight.join(deadline_s=1.0)
    flight.join(deadline_s=1.0)
    flight.leave()
    assert not flight.future.cancelled()
    flight.leave()
    assert flight.future.cancelled()


async def test_leaving_after_the_landing_changes_nothing() -> None:
    queued = entry()
    flight = SingleFlight().open(queued)
    flight.join(deadline_s=1.0)
    queued.future.set_result(RESULT)
    flight.leave()
    assert flight.future.result() is RESULT


async def test_the_entry_lives_as_long_as_its_most_patient_waiter() -> None:
    flight = SingleFlight().open(entry(deadline_s=1.0))
    flight.join(deadline_s=5.0)
    flight.join(deadline_s=3.0)
    assert flight.entry.deadline_s == 5.0


async def test_a_cancelled_flight_is_not_joined_and_does_not_remove_its_successor() -> None:
    flights = SingleFlight()
    first = flights.open(entry())
    first.join(deadline_s=1.0)
    first.leave()
    assert flights.find(b"k") is None
    second = flights.open(entry())
    await asyncio.sleep(0)
    assert flights.find(b"k") is second


async def test_an_error_that_nobody_waited_for_is_not_reported_as_lost() -> None:
    queued = entry()
    SingleFlight().open(queued)
    queued.future.set_exception(RuntimeError("seen by the flight"))
    await asyncio.sleep(0)  # filterwarnings=error would turn a lost exception into a failure
