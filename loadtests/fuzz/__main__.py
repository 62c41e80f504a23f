"""The command: serve a bundle, break so many requests, say what was found."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from loadtests.errors import LoadTestError
from loadtests.fuzz.run import fuzz
from loadtests.server import serve


def main() -> int:
    """Run the command. Returns the exit code: 1 if there were faults."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fuzz", description="Break requests.")
    parser.add_argument("--bundle", type=Path, default=Path("bundles/support_desk"))
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    console = Console()
    try:
        with serve(given.bundle, threads=1) as server, Progress(console=console, transient=True) as progress:
            bar = progress.add_task("Breaking requests", total=given.cases)
            outcome = fuzz(
                server.port, cases=given.cases, seed=given.seed, advance=lambda: progress.advance(bar)
            )
    except LoadTestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for status, count in sorted(outcome.statuses.items(), key=lambda each: -each[1]):
        console.print(f"{'closed' if status is None else status}: {count}")
    for fault in outcome.faults[:20]:
        console.print(fault, markup=False)
    console.print(f"{len(outcome.faults)} faults in {given.cases} cases, seed {given.seed}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
