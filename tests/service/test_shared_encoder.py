import asyncio

import pytest

from service.errors import Overloaded
from service.priorities import Priority
from tests.support.service_fakes import PATIENCE_S, FakeEncoderSession, parts, running

TIMEOUT_S = 30.0


async def test_a_request_that_is_refused_promotes_nothing_of_a_job() -> None:
    encoder = FakeEncoderSession()
    encoder.gate.clear()
    async with running(parts(encoder=encoder), queue_tokens=15, max_batch_tokens=8) as runtime:
        engine, flights = runtime.engine, runtime.models.default.host.shared._flights
        held = asyncio.create_task(engine.predict(["held"], timeout_s=TIMEOUT_S))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        job = asyncio.create_task(
            engine.predict(["a text of a job"], timeout_s=TIMEOUT_S, priority=Priority.BULK)
        )
        await asyncio.sleep(0)
        entries = [flight.entry for flight in flights._flights.values()]
        assert [each.priority for each in entries] == [Priority.INTERACTIVE, Priority.BULK]
        refused = ["a text of a job", "one two three four five six seven"]
        with pytest.raises(Overloaded):
            await engine.predict(refused, timeout_s=TIMEOUT_S, priority=Priority.INTERACTIVE)
        assert entries[1].priority is Priority.BULK
        encoder.gate.set()
        await asyncio.gather(held, job)
