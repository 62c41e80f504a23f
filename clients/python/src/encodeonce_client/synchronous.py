"""The client that blocks."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Event
from typing import Self, TypeVar, Unpack

import httpx

from encodeonce_client import calls
from encodeonce_client.answers import Answer
from encodeonce_client.calls import Call, Input, Options
from encodeonce_client.exchange import Outcome, Pause, exchange, http_settings, request_of
from encodeonce_client.responses import Embeddings, LineResult, Predictions, TaskInfo, TaskPredictions
from encodeonce_client.retries import Retries

T = TypeVar("T")


class Client:
    """A client for one service. Threads may share it."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Set the client up; nothing is sent yet.

        Args:
            base_url: Of the service.
            api_key: Where the service asks for one.
            model: The model that should answer, of several.
            version: The version that must answer.
            timeout_s: Of one attempt. The service is told, and computes nothing beyond it.
            retries: When to try again; by default, see ``Retries``.
            transport: How to connect, for tests and proxies.
        """
        settings = http_settings(base_url, api_key=api_key, model=model, version=version, timeout_s=timeout_s)
        self._retries = retries or Retries()
        self._http = httpx.Client(**settings, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self, inputs: Sequence[Input], tasks: Sequence[str] | None = None, **options: Unpack[Options]
    ) -> Predictions:
        """Tasks on inputs; all that fit, if none are named.

        Args:
            inputs: Texts, or the fields of an input.
            tasks: Names.
            **options: ``top_k``, ``return_scores``, ``return_logits``.

        Raises:
            EncodeOnceError: As ``encodeonce_client.errors`` tells them apart.
        """
        return self._run(calls.predict(inputs, tasks, options))

    def predict_task(self, task: str, inputs: Sequence[Input], **options: Unpack[Options]) -> TaskPredictions:
        """One task on inputs; as ``predict`` otherwise."""
        return self._run(calls.predict_task(task, inputs, options))

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Vectors of unit length."""
        return self._run(calls.embed(texts))

    def tasks(self) -> dict[str, TaskInfo]:
        """What the service can be asked, by name."""
        return self._run(calls.tasks())

    def is_ready(self) -> bool:
        """Whether the service takes requests. One attempt."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.RequestError:
            return False

    def predict_many(
        self,
        inputs: Iterable[Input],
        tasks: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
        concurrency: int = 4,
        **options: Unpack[Options],
    ) -> Iterator[Mapping[str, Answer]]:
        """Answers for any number of inputs, in order, in batches of which a few are under way at a time.

        The inputs are taken as they are needed. The first error ends it; ``stream`` goes on instead.
        """
        batches = (calls.predict(chunk, tasks, options) for chunk in calls.chunks(inputs, size=batch_size))
        for answered in self._run_in_order(batches, concurrency):
            yield from answered.predictions

    def stream(
        self,
        inputs: Iterable[Input],
        tasks: Sequence[str] | None = None,
        *,
        batch_size: int = 256,
        concurrency: int = 2,
        **options: Unpack[Options],
    ) -> Iterator[LineResult]:
        """As ``predict_many``, over NDJSON: an input at fault gets a problem in its place."""
        parts = (calls.stream(lines, tasks, options) for lines in calls.line_chunks(inputs, size=batch_size))
        for results in self._run_in_order(parts, concurrency):
            yield from results

    def _run(self, call: Call[T], is_left: Event | None = None) -> T:
        """Take the steps of a call.

        Args:
            call: The call.
            is_left: Set once nobody waits for the answer any more; it is then not tried again.
        """
        is_left = is_left or Event()
        steps = exchange(call, self._retries)
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    if is_left.wait(step.seconds):
                        raise CancelledError
                    outcome = None
                else:
                    outcome = self._send(call)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, call: Call[T]) -> Outcome:
        try:
            return self._http.send(request_of(self._http, call))
        except httpx.RequestError as error:
            return error

    def _run_in_order(self, given: Iterable[Call[T]], concurrency: int) -> Iterator[T]:
        under_way: deque[Future[T]] = deque()
        is_left = Event()
        pool = ThreadPoolExecutor(concurrency, thread_name_prefix="encodeonce")
        try:
            for call in given:
                if len(under_way) == concurrency:
                    yield under_way.popleft().result()
                under_way.append(pool.submit(self._run, call, is_left))
            while under_way:
                yield under_way.popleft().result()
        finally:
            # Not waited for, as leaving a ``with`` would: an attempt may last as long as the time limit.
            is_left.set()
            pool.shutdown(wait=False, cancel_futures=True)
