"""Command line.

python -m export RUN --output BUNDLE                    a run's best checkpoint as a bundle
python -m export RUN --into BUNDLE --output BUNDLE      a bundle with the heads of a run that was grown on it
python -m export verify BUNDLE                          check a bundle before serving it
"""

import argparse
import datetime as dt
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from export import joining
from export.bundle import export_bundle, stages_of
from export.errors import ExportError
from export.manifest import BundleError, Manifest, Precision
from export.precisions.budget import DEFAULT_BUDGET
from export.precisions.build import DEFAULT_MAX_ROWS, REDUCED, PrecisionWishes
from export.verify import verify_bundle
from training.errors import TrainingError
from training.progress import build_progress, say


def run_export(options: argparse.Namespace, console: Console) -> None:
    """Export, then say what was made."""
    wishes = PrecisionWishes(
        precisions=tuple(dict.fromkeys(options.precisions)),
        budget=options.precision_budget,
        max_rows=options.precision_rows,
    )
    stages = stages_of(wishes) if options.into is None else joining.STAGES
    with build_progress(console) as progress:
        bar = progress.add_task("exporting", total=len(stages), note="")

        def report(stage: str) -> None:
            progress.update(bar, completed=stages.index(stage), note=stage)
            if not console.is_terminal:
                say(console, stage)

        labels = {"version": options.version, "name": options.name}
        if options.into is None:
            manifest = export_bundle(options.run, options.output, **labels, wishes=wishes, report=report)
        else:
            manifest = joining.join_bundle(options.run, options.into, options.output, **labels, report=report)
        progress.update(bar, completed=len(stages), note="")
    size = sum(entry.size_bytes for entry in manifest.files.values()) / 1e6
    tasks = ", ".join(manifest.tasks)
    say(console, f"{options.output}: {manifest.name} {manifest.version}, {size:.0f} MB, tasks {tasks}")
    for precision, found in (manifest.precisions.reports if manifest.precisions else {}).items():
        if precision in wishes.precisions:
            say(console, f"  {precision} {'kept' if found.is_kept else 'NOT kept'}: {found.reason}")
    if options.bento_model:
        tag = save_to_bento_store(options.output, options.bento_model, manifest)
        say(console, f"saved in the BentoML model store as {tag}")


def save_to_bento_store(bundle: Path, name: str, manifest: Manifest) -> str:
    """Copy a bundle into BentoML's model store. Returns its tag.

    Raises:
        ExportError: If BentoML refuses the name.
    """
    import shutil

    import bentoml

    try:
        with bentoml.models.create(
            name, labels={"bundle": manifest.name, "version": manifest.version}
        ) as model:
            shutil.copytree(bundle, model.path, dirs_exist_ok=True)
    except (bentoml.exceptions.BentoMLException, ValueError) as error:
        raise ExportError(f"The BentoML model store did not take {name!r}: {error}") from error
    return str(model.tag)


def run_verify(bundle: Path, console: Console) -> None:
    """Verify, then say what was checked."""
    verification = verify_bundle(bundle)
    manifest = verification.manifest
    fingerprint = manifest.encoder.fingerprint[:12]
    say(console, f"{bundle}: {manifest.name} {manifest.version} is intact")
    say(console, f"  {len(manifest.files)} files match their hashes; encoder {fingerprint}…")
    for precision, deviations in verification.deviations.items():
        for task, gap in deviations.items():
            say(console, f"  {task} in {precision}: golden examples deviate by at most {gap:.1e}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    try:
        if given[:1] == ["verify"]:
            run_verify(_verify_parser().parse_args(given[1:]).bundle, console)
        else:
            run_export(_export_options(given), console)
    except (BundleError, TrainingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. No bundle was written.", file=sys.stderr)
        return 130
    return 0


def _export_options(given: Sequence[str]) -> argparse.Namespace:
    """Parse, and refuse what an old bundle's graphs leave no room for: an operator would wait for it."""
    parser = _export_parser()
    options = parser.parse_args(given)
    if options.into is not None:
        for name in ("precisions", "precision_budget", "precision_rows"):
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')} does not go with --into, which keeps fp32 alone")
    return options


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("run", type=Path, help="run or checkpoint folder, such as runs/NAME")
    parser.add_argument("--output", type=Path, required=True, help="bundle to write, such as bundles/NAME")
    parser.add_argument(
        "--into", type=Path, metavar="BUNDLE", help="a bundle whose tasks are kept beside the run's"
    )
    parser.add_argument("--name", help="bundle name; the configuration's, or the old bundle's, by default")
    now = dt.datetime.now(dt.UTC)
    parser.add_argument(
        "--version", default=f"{now:%Y%m%d.%H%M%S}", help="bundle version; the time by default"
    )
    parser.add_argument(
        "--precisions",
        nargs="*",
        default=[],
        type=Precision,
        choices=REDUCED,
        metavar="PRECISION",
        help=f"also try {', '.join(REDUCED)}; kept where every task's dev metric stays within the budget; "
        "not with --into",
    )
    parser.add_argument(
        "--precision-budget",
        type=_points,
        default=DEFAULT_BUDGET,
        metavar="POINTS",
        help="what a task's primary dev metric may lose, in points of 0.01 (%(default)s)",
    )
    parser.add_argument(
        "--precision-rows",
        type=_count,
        default=DEFAULT_MAX_ROWS,
        metavar="N",
        help="dev rows of a task that precisions are judged on at most (%(default)s)",
    )
    parser.add_argument("--bento-model", metavar="NAME", help="also save it in the BentoML model store")
    return parser


def _points(text: str) -> float:
    points = float(text)
    if not 0 <= points < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number of points, at least 0; found {text}")
    return points


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return count


def _verify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export verify", description="Check a bundle before serving it."
    )
    parser.add_argument("bundle", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
