"""Measures the service against its speed targets.

    python -m loadtests.bench [B1] [B2] [B3] [B6] [B13] [B14] [B15] [--bundle BUNDLE] [--output REPORT.md]

B1   bulk requests ÷ bare loop                    B13  start to ready, seconds
B2   the same in int8                             B14  memory over many requests, percent more
B3   single texts, closed loop ÷ bare loop        B15  int8 vectors in company as alone, percent
B6   all tasks on single texts ÷ one task

Each ratio compares two sides that run in turn on the same texts (A B A B …), with the same number of encoder
threads; the result is the ratio of their medians. The service is a real `bentoml serve` on 127.0.0.1. Texts
are sentences that no cache has seen. The bare loop is described in `loadtests/bare_loop.py`. All rows but
B14 take about ten minutes on two cores, B14 half an hour more; nothing else should run meanwhile.

For a quick look: --pairs 2 --texts 512 --window 3 --starts 1 --requests 2000.
"""

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from export.manifest import BundleError
from loadtests.arguments import positive, positive_float
from loadtests.bare_loop import BareLoop
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.closed_loop import find_wrk
from loadtests.errors import LoadTestError
from loadtests.measurements import SAMPLE_TEXTS, Bench, OnStep
from loadtests.report import look_around, markdown
from loadtests.results import save_rows
from loadtests.rows import ROWS
from loadtests.texts import default_data_folder, load_sentences
from service.cpus import usable_cpus


def measure(options: argparse.Namespace, console: Console) -> str:
    """Measure the asked rows. Returns the report."""
    circumstances = look_around(_command(), threads=options.threads)
    if "B3" in options.rows:
        find_wrk()
    sentences = load_sentences(options.data, seed=options.seed)
    ensure_bundle(options.bundle, console)
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with progress:
        bare = BareLoop(options.bundle, threads=options.threads)
        texts = bare.distinct(sentences)
        bench = Bench(
            bundle=options.bundle,
            bare=bare,
            texts=texts,
            threads=options.threads,
            pairs=options.pairs,
            starts=options.starts,
            requests=options.requests,
            texts_per_run=options.texts,
            texts_per_request=options.texts_per_request,
            in_flight=options.in_flight,
            concurrency=options.concurrency,
            window_s=options.window,
        )
        bench.check_supply()
        notes = [
            f"Texts: {len(texts)} sentences of SST-5 and Quora with distinct tokens, each sent once a row."
        ]
        if {"B1", "B3"} & set(options.rows):
            sample = texts[-min(SAMPLE_TEXTS, options.texts) :]
            shape = bare.find_shape(sample, bench.task, on_trial=_stepper(progress, "bare loop's best shape"))
            notes.append(f"Bare loop, the quickest of its shapes: texts sorted by length, {shape}.")
        results = []
        for row in options.rows:
            results.append(ROWS[row](bench, _stepper(progress, row)))
            if options.results:
                save_rows(results[-1:], circumstances, options.results)
    return markdown(results, circumstances, notes)


def ensure_bundle(bundle: Path, console: Console) -> None:
    """Build the default bundle if there is none.

    In a process of its own: torch's memory and threads must be gone before anything is measured.

    Raises:
        LoadTestError: If another bundle is asked for and missing, or the build fails.
    """
    if bundle.is_dir():
        return
    if bundle != DEFAULT_BUNDLE:
        raise LoadTestError(f"There is no bundle at {bundle}.")
    with console.status("building bundles/bench, about a minute"):
        command = [sys.executable, "-m", "loadtests.bundle", "--output", str(bundle)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise LoadTestError(f"The bundle could not be built:\n{built.stderr[-3000:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code; a missed target is a result, not a failure."""
    options = _parser().parse_args(arguments)
    options.rows = options.rows or list(ROWS)
    console = Console()
    try:
        report = measure(options, console)
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


def _stepper(progress: Progress, description: str) -> OnStep:
    bar = progress.add_task(description, total=None)
    return lambda done, total: progress.update(bar, completed=done, total=total)


def _command() -> str:
    return " ".join(["python -m loadtests.bench", shlex.join(sys.argv[1:])]).strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "rows", nargs="*", type=_row, metavar="ROW", help=f"of {', '.join(ROWS)}; all by default"
    )
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE, help="%(default)s, built if missing")
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    parser.add_argument("--output", type=Path, help="also write the report here")
    parser.add_argument(
        "--results", type=Path, help="also keep each row there, for python -m loadtests.peers report"
    )
    count: dict[str, Any] = {"type": positive, "metavar": "N"}
    parser.add_argument("--pairs", default=10, help="runs of each side (%(default)s)", **count)
    parser.add_argument("--starts", default=5, help="starts of B13 (%(default)s)", **count)
    parser.add_argument("--requests", default=100_000, help="requests of B14 (%(default)s)", **count)
    parser.add_argument("--texts", default=2048, help="texts of a bulk run (%(default)s)", **count)
    parser.add_argument("--texts-per-request", default=512, help="of a bulk run (%(default)s)", **count)
    parser.add_argument("--in-flight", default=3, help="requests of a bulk run (%(default)s)", **count)
    parser.add_argument("--concurrency", default=64, help="requests under way in B3 (%(default)s)", **count)
    parser.add_argument(
        "--window", type=positive_float, default=8.0, help="seconds of a B3 run (%(default)s)"
    )
    cores = usable_cpus()
    parser.add_argument(
        "--threads", default=cores, help="of the encoder, on either side (%(default)s)", **count
    )
    parser.add_argument("--seed", type=int, default=0, help="of the texts' order")
    return parser


def _row(text: str) -> str:
    if text.upper() not in ROWS:
        raise argparse.ArgumentTypeError(f"there is no row {text}; known: {', '.join(ROWS)}")
    return text.upper()


if __name__ == "__main__":
    # A service is ended by its context manager; SIGTERM must unwind the stack like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
