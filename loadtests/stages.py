"""Where a request's time goes, from socket to socket.

    python -m loadtests.stages [BUNDLE] [--concurrency 1 16 64] [--texts new|encoded|answered] [--window 5]

One text a request in a closed loop: new to the caches, found in the encoder's, or answered as before. The
table has means over all requests, from the service's own metrics: what a client waited, of that each stage,
the rest of the service's time (routing, parsing, the turns of its loop, writing the answer), and what passes
outside of it (the server's HTTP parser, the kernel, the client). Beside it the texts of an encoder batch, and
the CPU time of the service's processes. The warm-up before the window is in the means, too.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from export.manifest import BundleError
from loadtests.arguments import positive, positive_float
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.closed_loop import drive_closed_loop
from loadtests.errors import LoadTestError
from loadtests.overload import first_text_task
from loadtests.peers.resources import cpu_s
from loadtests.report import look_around
from loadtests.server import Server, serve
from loadtests.texts import EndlessTexts, default_data_folder, load_sentences
from service.cpus import usable_cpus
from service.engine import StageTimes

STAGES = tuple(StageTimes().by_stage())
ROUTE = "/v1/tasks/{task}/predict"
TEXTS_PER_S = 8000
"""More than a closed loop can use up on the machines that this is for."""
CACHED_TEXTS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the metrics have added up."""

    requests: float
    request_s: float
    stage_s: dict[str, float]
    batches: float
    sequences: float

    def __sub__(self, before: "Sums") -> "Sums":
        """What came since."""
        return Sums(
            requests=self.requests - before.requests,
            request_s=self.request_s - before.request_s,
            stage_s={stage: self.stage_s[stage] - before.stage_s[stage] for stage in STAGES},
            batches=self.batches - before.batches,
            sequences=self.sequences - before.sequences,
        )


def parse_sums(text: str) -> Sums:
    """Read what ``/metrics`` says."""
    found = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.endswith(("_sum", "_count"))
    }
    return Sums(
        requests=found.get(("encodeonce_request_seconds_count", (ROUTE,)), 0.0),
        request_s=found.get(("encodeonce_request_seconds_sum", (ROUTE,)), 0.0),
        stage_s={stage: found.get(("encodeonce_stage_seconds_sum", (stage,)), 0.0) for stage in STAGES},
        batches=found.get(("encodeonce_batch_sequences_count", ()), 0.0),
        sequences=found.get(("encodeonce_batch_sequences_sum", ()), 0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A closed loop, and what the service says of it."""

    concurrency: int
    texts_per_s: float
    sums: Sums
    cpu_s: float

    def cells(self) -> list[str]:
        """Of the table, milliseconds of a request."""
        sums = self.sums
        client_ms = 1e3 * self.concurrency / self.texts_per_s
        service_ms = 1e3 * sums.request_s / sums.requests
        stages_ms = [1e3 * sums.stage_s[stage] / sums.requests for stage in STAGES]
        times = [client_ms, *stages_ms, service_ms - sum(stages_ms), client_ms - service_ms]
        texts = f"{sums.sequences / sums.batches:.1f}" if sums.batches else "-"
        cpu_ms = 1e3 * self.cpu_s / sums.requests
        return [
            str(self.concurrency), f"{self.texts_per_s:.0f}", *(f"{each:.2f}" for each in times), texts,
            f"{cpu_ms:.2f}",
        ]  # fmt: skip


HEADER = (
    "at once",
    "texts/s",
    "a client waits",
    *STAGES,
    "rest of the service",
    "outside",
    "texts a batch",
    "CPU",
)


def table(rows: Iterable[Measured]) -> str:
    """The report, in Markdown; times are milliseconds of a request."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure(
    server: Server, task: str, bodies: Callable[[int], list[str]], *, concurrency: int, window_s: float
) -> Measured:
    """One closed loop.

    Raises:
        LoadTestError: If a request fails.
    """
    before, before_cpu_s = parse_sums(_metrics(server)), cpu_s(server)
    run = drive_closed_loop(
        server.url,
        ROUTE.replace("{task}", task),
        bodies(int(TEXTS_PER_S * (window_s + 2))),
        concurrency=concurrency,
        window_s=window_s,
    )
    return Measured(
        concurrency=concurrency,
        texts_per_s=run.texts_per_s,
        sums=parse_sums(_metrics(server)) - before,
        cpu_s=cpu_s(server) - before_cpu_s,
    )


def _metrics(server: Server) -> str:
    connection = server.connect()
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class Texts(StrEnum):
    """What the service knows of them."""

    NEW = "new"
    ENCODED = "encoded"
    """Their encodings; no answer is kept."""
    ANSWERED = "answered"


def _bodies(pool: EndlessTexts, texts: Texts) -> Callable[[int], list[str]]:
    def body(text: str) -> str:
        return json.dumps({"inputs": [{"text": text}]})

    if texts is Texts.NEW:
        return lambda count: [body(text) for text in pool.take(count)]
    few = [body(text) for text in pool.take(CACHED_TEXTS)]
    return lambda count: list(itertools.islice(itertools.cycle(few), count))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.stages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        default=DEFAULT_BUNDLE,
        help="%(default)s, as `loadtests.bench` builds it",
    )
    parser.add_argument("--concurrency", type=positive, nargs="+", default=[1, 16, 64])
    parser.add_argument("--texts", type=Texts, choices=list(Texts), default=Texts.NEW, help="known or not")
    parser.add_argument("--window", type=positive_float, default=5.0, metavar="SECONDS")
    parser.add_argument("--threads", type=positive, default=usable_cpus())
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    options = parser.parse_args(arguments)
    circumstances = look_around("python -m loadtests.stages", threads=options.threads)
    try:
        task = first_text_task(options.bundle)
        bodies = _bodies(EndlessTexts(load_sentences(options.data)), options.texts)
        environment = {"ENCODEONCE_ANSWER_CACHE_BYTES": "0"} if options.texts is Texts.ENCODED else None
        with serve(options.bundle, threads=options.threads, environment=environment) as server:
            if options.texts is not Texts.NEW:
                measure(server, task, bodies, concurrency=1, window_s=options.window)
            rows = [
                measure(server, task, bodies, concurrency=each, window_s=options.window)
                for each in options.concurrency
            ]
    except (LoadTestError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    print(f"\n{circumstances}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
