import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from service.decoding import INLINE_CHARS, INLINE_ROWS, AnswerDecoder
from service.inputs import TaskInput
from service.kinds.answers import Answer, ValueAnswer
from service.kinds.base import AnswerOptions, Decoder, Kind, Readings
from service.kinds.registry import kind_of
from service.planning import plan
from tests.support.service_fakes import TAGS, sequence, task
from tests.support.service_readings import readings_of


@dataclass(frozen=True)
class SeesThread(Decoder):
    """Answers with the number of the input, and keeps where it ran."""

    options = ()

    threads: list[threading.Thread] = field(default_factory=list)

    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[Answer]:
        self.threads.append(threading.current_thread())
        return [ValueAnswer(value=float(place)) for place, _ in enumerate(readings.inputs)]


class Decoding:
    """One task's decoding, with the thread that it took."""

    def __init__(self, kind: str) -> None:
        known = kind_of(task(kind, labels=TAGS))
        self.seen = SeesThread()
        self.kinds = {"t": Kind(entry=known.entry, reader=known.reader, decoder=self.seen)}
        self.decoder = AnswerDecoder(self.kinds)

    async def leaves_the_loop(self, texts: Sequence[TaskInput], *, rows_each: int = 1) -> bool:
        planned = plan(texts, self.kinds)
        logits = np.zeros((rows_each, 2))
        readings = readings_of(
            *((text, logits) for text in texts), tokens=[(sequence(rows_each),) for _ in texts]
        )
        answers = await self.decoder.decode(planned, {"t": readings}, AnswerOptions())
        assert answers == [{"t": {"value": float(place)}} for place in range(len(texts))]
        return self.seen.threads.pop() is not threading.current_thread()


@pytest.fixture(params=["classification", "tagging"])
def decoding(request: pytest.FixtureRequest) -> Iterator[Decoding]:
    decoding = Decoding(request.param)
    yield decoding
    decoding.decoder.close()


async def test_a_job_is_decoded_off_the_event_loop_and_little_on_it(decoding: Decoding) -> None:
    assert not await decoding.leaves_the_loop(["a"] * INLINE_ROWS)
    assert await decoding.leaves_the_loop(["a"] * (INLINE_ROWS + 1))


async def test_a_text_of_many_tokens_is_decoded_off_the_event_loop(decoding: Decoding) -> None:
    assert not await decoding.leaves_the_loop(["a"], rows_each=INLINE_ROWS)
    assert await decoding.leaves_the_loop(["a", "b"], rows_each=INLINE_ROWS)


async def test_words_that_the_encoder_does_not_read_count_where_words_are_found() -> None:
    for kind, expected in (("classification", False), ("tagging", True)):
        decoding = Decoding(kind)
        assert await decoding.leaves_the_loop(["a " * INLINE_CHARS]) is expected
        decoding.decoder.close()
