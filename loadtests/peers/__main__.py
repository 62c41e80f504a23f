"""Measures the service beside what a user would pick instead.

    python -m loadtests.peers install [PEER …]
    python -m loadtests.peers measure [PEER …] [--quick] [--rows ROW …] [--again]
    python -m loadtests.peers report

install   an environment a peer, under .peers/, and the same weights for both sides
measure   each peer beside us (B4), then the rows B5, B7 to B11 against the best of them, or of us alone.
          Results are small files: what is there already is left out, unless --again.
          B12 (with B7 by six models) starts six services of the best peer, and B11/rate searches; both take
          minutes and run only if named by --rows.
report    docs/results/serving.md and its picture, of all that has been measured, by python -m loadtests.bench
          --results .peers/results, too

A quick measurement of all takes about twelve minutes on two quiet cores, a full one some hours.
"""

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from export.manifest import BundleError, read_manifest
from loadtests.bare_loop import BareLoop
from loadtests.errors import LoadTestError
from loadtests.peers import models
from loadtests.peers.known import PEERS
from loadtests.peers.measuring import ROWS, UNASKED, Measuring
from loadtests.peers.picture import draw_peers
from loadtests.peers.rounds import FULL, QUICK
from loadtests.peers.survey import Contest, load_surveys
from loadtests.peers.table import PICTURE, page
from loadtests.peers.texts import Rotation
from loadtests.peers.venvs import install
from loadtests.report import look_around
from loadtests.results import load_rows
from loadtests.texts import default_data_folder, load_sentences
from service.cpus import usable_cpus

FOLDER = Path(".peers")
PAGE = Path("docs/results/serving.md")


def run_install(options: argparse.Namespace, console: Console) -> None:
    """Environments and weights. One that fails is said, and the others are made."""
    for name in options.peers:
        try:
            install(PEERS[name], options.folder, on_step=console.print)
        except LoadTestError as error:
            console.print(f"{name}: {error}", markup=False)
    ensure_models(options, console)


def ensure_models(options: argparse.Namespace, console: Console) -> None:
    """Build bundle and folders, if there are none.

    In a process of its own: torch's memory and threads must be gone before anything is measured.

    Raises:
        LoadTestError: If the build fails.
    """
    if options.bundle.is_dir() and options.models.is_dir():
        return
    console.print(f"building {options.bundle} and {options.models}, a few minutes")
    command = [sys.executable, "-m", "loadtests.peers.models"]
    command += ["--bundle", str(options.bundle), "--folders", str(options.models)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise LoadTestError(f"The models could not be built:\n{built.stderr[-3000:]}")


def run_measure(options: argparse.Namespace, console: Console) -> None:
    """Surveys, then rows."""
    ensure_models(options, console)
    manifest = read_manifest(options.bundle)
    bare = BareLoop(options.bundle, threads=options.threads)
    sentences = bare.distinct(load_sentences(options.data, seed=options.seed))
    contest = Contest(
        bundle=options.bundle,
        models=options.models,
        folder=options.folder,
        tasks={name: entry.labels for name, entry in manifest.tasks.items() if entry.labels},
        texts=Rotation(sentences),
        threads=options.threads,
        rounds=QUICK if options.quick else FULL,
    )
    measuring = Measuring(
        contest=contest,
        results=options.results,
        circumstances=look_around(_command(), threads=options.threads),
        num_tokens=lambda texts: [each.num_tokens for each in bare.tokenise(texts)],
        again=options.again,
        say=lambda words: console.print(words, markup=False),
    )
    measuring.surveys([PEERS[name] for name in options.peers])
    measuring.rows(options.rows)


def run_report(options: argparse.Namespace, console: Console) -> None:
    """The page and its picture."""
    surveys, rows = load_surveys(options.results), load_rows(options.results)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    titles = {name: peer.title for name, peer in PEERS.items()}
    options.output.write_text(page(rows, surveys, peers=titles), encoding="utf-8")
    if any(each.fault is None for each in surveys):
        file = options.output.parent / PICTURE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(draw_peers(surveys, rows), encoding="utf-8")
    console.print(f"{options.output}: {len(rows)} rows, {len(surveys)} peers", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code; a missed target is a result, not a failure."""
    options = _parser().parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    run: Callable[[argparse.Namespace, Console], None] = options.run
    try:
        run(options, console)
    except (BundleError, LoadTestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What was measured is kept.", file=sys.stderr)
        return 130
    return 0


def _command() -> str:
    return f"python -m loadtests.peers {shlex.join(sys.argv[1:])}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    installing = commands.add_parser("install", help="make environments and weights")
    measure = commands.add_parser("measure", help="measure what has not been measured")
    report = commands.add_parser("report", help="write the page and its picture")
    for command, run in ((installing, run_install), (measure, run_measure), (report, run_report)):
        command.set_defaults(run=run)
        command.add_argument("--folder", type=Path, default=FOLDER, help="of environments (%(default)s)")
        command.add_argument("--results", type=Path, default=FOLDER / "results", help="(%(default)s)")
    for command in (installing, measure):
        command.add_argument(
            "peers", nargs="*", type=_peer, default=list(PEERS), metavar="PEER", help=", ".join(PEERS)
        )
        command.add_argument("--bundle", type=Path, default=models.DEFAULT_BUNDLE, help="(%(default)s)")
        command.add_argument("--models", type=Path, default=models.DEFAULT_FOLDERS, help="(%(default)s)")
    measure.add_argument(
        "--rows", nargs="*", choices=list(ROWS), default=[name for name in ROWS if name not in UNASKED]
    )
    measure.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    measure.add_argument("--again", action="store_true", help="also what has been measured")
    measure.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    measure.add_argument("--threads", type=int, default=usable_cpus(), help="of either side (%(default)s)")
    measure.add_argument("--seed", type=int, default=0, help="of the texts' order")
    report.add_argument("--output", type=Path, default=PAGE, help="(%(default)s)")
    return parser


def _peer(text: str) -> str:
    if text not in PEERS:
        raise argparse.ArgumentTypeError(f"there is no peer {text}; known: {', '.join(PEERS)}")
    return text


if __name__ == "__main__":
    # Servers are ended by their context managers; SIGTERM must unwind the stack like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
