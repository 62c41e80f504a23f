"""Asks a service for many times what it can do, and looks at what it still does.

    python -m loadtests.overload [BUNDLE] [--output REPORT.md]

O1  goodput in the overload ÷ capacity                     O3  memory within the overload, percent more
O2  p99 of accepted requests ÷ p99 at 80 % load            O4  seconds until the service is as before
O5  p99 of single texts at half load, with a bulk job beside them ÷ without

The capacity is found by a closed loop, before and after. The loads are open loops (`loadtests/open_loop.py`):
a Poisson process in another process, latency from the intended moment. No text is sent twice. O1 to O4 run
on one service, whose bound on requests under way (`--max-requests`) says how long an accepted request may
wait; docs/sizing.md says how to choose it. O5 runs on another one, with the default settings.

It takes about six minutes. For a quick look:
--seconds 5 --after 3 --capacity-texts 512 --window 3 --pairs 1.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from export.manifest import BundleError, read_manifest
from loadtests.arguments import positive, positive_float
from loadtests.bench import ensure_bundle
from loadtests.bulk_beside_singles import BesidePlan, measure_bulk_beside_singles
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.closed_loop import find_wrk
from loadtests.errors import LoadTestError
from loadtests.open_loop import OpenLoopRun
from loadtests.overloading import P99, OverloadPlan, overload, overload_rows
from loadtests.report import RowResult, look_around, markdown
from loadtests.server import serve
from loadtests.texts import EndlessTexts, default_data_folder, load_sentences
from service.cpus import usable_cpus

MAX_REQUESTS = 16
"""With requests of equal cost one waits for at most so many. At 80 % load hardly ever so many are under way
(an M/D/1 queue: one time in a thousand), so that the bound costs nothing before there is an overload."""

SMALL_CACHE_BYTES = 8 * 1024 * 1024
"""Of the cache of vectors while memory is looked at, and eight times what answers get: both are full before
the overload begins. No text is asked twice anyway."""


def measure(options: argparse.Namespace, console: Console) -> str:
    """Measure all rows. Returns the report."""
    circumstances = look_around(_command(), threads=options.threads)
    find_wrk()
    sentences = load_sentences(options.data, seed=options.seed)
    ensure_bundle(options.bundle, console)
    task = first_text_task(options.bundle)
    pool = EndlessTexts(sentences, seed=options.seed)
    rows: list[RowResult] = []
    with (
        console.status("overload"),
        serve(
            options.bundle,
            threads=options.threads,
            environment={
                "ENCODEONCE_MAX_REQUESTS": str(options.max_requests),
                "ENCODEONCE_POOLED_CACHE_BYTES": str(SMALL_CACHE_BYTES),
                "ENCODEONCE_ANSWER_CACHE_BYTES": str(SMALL_CACHE_BYTES // 8),
            },
        ) as server,
    ):
        plan = OverloadPlan(
            task=task,
            texts_per_request=options.texts_per_request,
            capacity_texts=options.capacity_texts,
            base_s=options.seconds,
            overload_s=options.seconds,
            after_s=options.after,
            factor=options.factor,
            seed=options.seed,
        )
        seen = overload(server, pool, plan)
        rows += overload_rows(seen)
    with console.status("bulk beside singles"), serve(options.bundle, threads=options.threads) as server:
        beside = BesidePlan(task=task, pairs=options.pairs, window_s=options.window, seed=options.seed)
        row, runs = measure_bulk_beside_singles(server, pool, beside)
        rows.append(row)
    notes = [
        "Texts: sentences of SST-5 and Quora, then the same in other orders of their words; none twice.",
        f"O1 to O4: `ENCODEONCE_MAX_REQUESTS={options.max_requests}`, a cache of 8 MiB; "
        f"{options.seconds:g} s at 80 %, "
        f"{options.seconds:g} s at {options.factor:g} times the capacity.",
        f"Sender of O1 to O4: {sender_cost(seen.run)} Of O5, the worst of {len(runs)} runs: "
        f"{sender_cost(max(runs, key=lambda run: run.lateness_s(P99)))}",
    ]
    return markdown(rows, circumstances, notes, title="Overload")


def first_text_task(bundle: Path) -> str:
    """A task on single texts.

    Raises:
        LoadTestError: If the bundle has none.
    """
    for name, entry in read_manifest(bundle).tasks.items():
        if entry.input_fields == ("text",):
            return name
    raise LoadTestError(f"{bundle} has no task on single texts.")


def sender_cost(run: OpenLoopRun) -> str:
    """What the sender took, and whether it kept its times."""
    return f"{run.sender_cpu_share:.0%} of a core, {1e3 * run.lateness_s(P99):.1f} ms late at p99."


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
    return " ".join(["python -m loadtests.overload", shlex.join(sys.argv[1:])]).strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(name: str, default: float, text: str) -> None:
        is_count = isinstance(default, int)
        parser.add_argument(
            name,
            default=default,
            type=positive if is_count else positive_float,
            metavar="N" if is_count else "X",
            help=f"{text} (%(default)s)",
        )

    parser.add_argument(
        "bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE, help="%(default)s, built if missing"
    )
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    parser.add_argument("--output", type=Path, help="also write the report here")
    add("--seconds", 60.0, "of the 80 % load, and of the overload")
    add("--after", 15.0, "seconds of half load after it")
    add("--factor", 10.0, "of the capacity, in the overload")
    add("--texts-per-request", 16, "of O1 to O4")
    add("--max-requests", MAX_REQUESTS, "under way at once, of O1 to O4")
    add("--capacity-texts", 4096, "of a closed loop")
    add("--pairs", 3, "runs of O5 with and without the job")
    add("--window", 15.0, "seconds of a run of O5")
    add("--threads", usable_cpus(), "of the encoder")
    parser.add_argument("--seed", type=int, default=0, help="of texts and arrivals")
    return parser


if __name__ == "__main__":
    # A service is ended by its context manager; SIGTERM must unwind the stack like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
