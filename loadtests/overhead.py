"""Measures what API keys, metrics and traces cost a request.

    python -m loadtests.overhead [BUNDLE] [--output REPORT.md]

V1  p50 with all three on ÷ off, cold texts             V2  the same where every text is in the cache

Two services run beside each other and are asked in turn (A B A B …), one text a request, by `wrk` at the
given concurrency. One has API keys, metrics, and traces that a collector takes; the other has none of them
(`loadtests/unmetered.py`). A cached text is answered without the encoder, so V2 shows the cost where it is
largest beside the rest. It takes about five minutes. For a quick look: --pairs 1 --window 2.
"""

import argparse
import contextlib
import http.server
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from export.manifest import BundleError
from loadtests.arguments import positive
from loadtests.bench import ensure_bundle
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.closed_loop import GRACE_S, find_wrk
from loadtests.errors import LoadTestError
from loadtests.overload import first_text_task
from loadtests.ratios import interleave
from loadtests.report import RowResult, Target, look_around, markdown
from loadtests.server import HOST, Server, serve
from loadtests.texts import EndlessTexts, default_data_folder, load_sentences
from service.cpus import usable_cpus
from service.keys.file import KeyEntry, KeyFile, hash_key, new_key

SCRIPT = Path(__file__).with_name("latency.lua")
TEXTS_PER_S = 2000
"""More than cold texts can be answered."""
CACHED_TEXTS = 512
NUM_KEYS = 16
"""In the file: each is compared with the one that a request brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two services."""

    server: Server
    key: str
    """Empty where none is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How both are asked."""

    task: str
    concurrency: int
    window_s: int

    def p50_s(self, side: Side, texts: Sequence[str], *, again: bool) -> float:
        """Median latency of a closed loop.

        Args:
            side: Whom to ask.
            texts: What to ask about.
            again: Whether to begin again at the end of the texts, instead of failing.

        Raises:
            LoadTestError: If a request fails, or the texts run out.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as bodies:
            bodies.writelines(json.dumps({"inputs": [text]}) + "\n" for text in texts)
            bodies.flush()
            command = [find_wrk(), "-t1", f"-c{self.concurrency}", f"-d{self.window_s}s", "--timeout", "30s"]
            command += ["-s", str(SCRIPT), side.server.url, "--", bodies.name]
            command += [f"/v1/tasks/{self.task}/predict", side.key, "again" if again else "once"]
            finished = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=self.window_s + GRACE_S,
                check=False,
            )
        return parse_p50_s(finished.stdout, finished.stderr)


def parse_p50_s(output: str, errors: str) -> float:
    """Read what the script printed.

    Raises:
        LoadTestError: If it printed nothing, a request failed, or the texts ran out.
    """
    lines = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    if "RESULT" not in lines:
        raise LoadTestError(f"wrk gave no result: {(errors or output)[-1000:]}")
    result: dict[str, int] = json.loads(lines["RESULT"])
    if result["failed"] or result["broken"] or result["exhausted"]:
        raise LoadTestError(
            f"{result['failed']} requests were refused, {result['broken']} connections broke, and the texts "
            f"were {'too few' if result['exhausted'] else 'enough'}: {lines.get('FAILURE', '')[:500]}"
        )
    return result["p50_us"] / 1e6


def measure_overhead(
    on: Side, off: Side, asking: Asking, pool: EndlessTexts, *, pairs: int
) -> list[RowResult]:
    """Both rows, each after a window of either side that does not count."""
    cached = pool.take(CACHED_TEXTS)

    def cold(side: Side) -> float:
        return asking.p50_s(side, pool.take(TEXTS_PER_S * asking.window_s), again=False)

    def hit(side: Side) -> float:
        return asking.p50_s(side, cached, again=True)

    rows = []
    for name, what, ask in (("V1", "cold texts", cold), ("V2", "cached texts", hit)):
        for side in (on, off):
            ask(side)
        ratio = interleave(_in_any_pair(ask, on), _in_any_pair(ask, off), pairs=pairs)
        rows.append(
            RowResult(
                id=name,
                what=f"p50 at concurrency {asking.concurrency}, {what}: keys, metrics, traces on ÷ off",
                value=ratio.of_medians,
                spread=ratio.of_pairs,
                target=Target(bound=1.10, is_upper=True),
                detail=f"{1e3 * ratio.a.median:.2f} ms ÷ {1e3 * ratio.b.median:.2f} ms",
            )
        )
    return rows


def _in_any_pair(ask: Callable[[Side], float], side: Side) -> Callable[[int], float]:
    return lambda _pair: ask(side)


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """The address of an OTLP collector that takes every batch and forgets it."""

    class Taker(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(http.HTTPStatus.OK)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is worth a line."""

    with http.server.ThreadingHTTPServer((HOST, 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, name="collector")
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def both_sides(bundle: Path, *, threads: int) -> Iterator[tuple[Side, Side]]:
    """The service with everything on, and the one with everything off."""
    key = new_key()
    others = [new_key() for _ in range(NUM_KEYS - 1)]
    entries = [
        KeyEntry(name=f"key-{place}", sha256=hash_key(each)) for place, each in enumerate([*others, key])
    ]
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        KeyFile(keys=tuple(entries)).write(folder / "keys.json")
        environment = {
            "ENCODEONCE_API_KEYS_FILE": str(folder / "keys.json"),
            "ENCODEONCE_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": running.enter_context(collector()),
        }
        on = running.enter_context(serve(bundle, threads=threads, environment=environment))
        off = running.enter_context(serve(bundle, threads=threads, service="loadtests.unmetered:EncodeOnce"))
        yield Side(server=on, key=key), Side(server=off, key="")


def measure(options: argparse.Namespace, console: Console) -> str:
    """Measure both rows. Returns the report."""
    circumstances = look_around(_command(), threads=options.threads)
    find_wrk()
    pool = EndlessTexts(load_sentences(options.data, seed=options.seed), seed=options.seed)
    ensure_bundle(options.bundle, console)
    asking = Asking(
        task=first_text_task(options.bundle), concurrency=options.concurrency, window_s=options.window
    )
    with console.status("overhead"), both_sides(options.bundle, threads=options.threads) as (on, off):
        rows = measure_overhead(on, off, asking, pool, pairs=options.pairs)
    notes = [
        f"On: {NUM_KEYS} API keys in the file, metrics, a span for each request and stage that a collector "
        "in the measuring process takes. Off: no keys, no traces, nothing counted.",
        "Texts: sentences of SST-5 and Quora. V1 sends none twice; V2 sends "
        f"{CACHED_TEXTS} of them over and over.",
    ]
    return markdown(rows, circumstances, notes, title="What keys, metrics and traces cost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code; a missed target is a result, not a failure."""
    options = _parser().parse_args(arguments)
    try:
        report = measure(options, Console(stderr=True))
    except (BundleError, LoadTestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Nothing was written.", file=sys.stderr)
        return 130
    print(report)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(report, encoding="utf-8")
    return 0


def _command() -> str:
    return " ".join(["python -m loadtests.overhead", shlex.join(sys.argv[1:])]).strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE, help="%(default)s, built if missing"
    )
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    parser.add_argument("--output", type=Path, help="also write the report here")
    parser.add_argument("--pairs", type=positive, default=10, help="runs of each side (%(default)s)")
    parser.add_argument("--window", type=positive, default=6, help="seconds of a run (%(default)s)")
    parser.add_argument("--concurrency", type=positive, default=16, help="requests under way (%(default)s)")
    parser.add_argument(
        "--threads", type=positive, default=usable_cpus(), help="of the encoder (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the texts' order")
    return parser


if __name__ == "__main__":
    # A service is ended by its context manager; SIGTERM must unwind the stack like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
