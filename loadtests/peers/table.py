"""The page of results: every row with its target, every peer beside us, and under which circumstances."""

from collections.abc import Iterable, Mapping, Sequence

from loadtests.peers.rounds import CONCURRENCIES
from loadtests.peers.survey import Survey
from loadtests.report import Circumstances
from loadtests.results import Measured
from loadtests.targets import PLANNED, PlannedRow

PICTURE = "serving/peers.svg"
NOT_YET = "not measured yet"

INTRODUCTION = """# Serving speed beside what a user would pick instead

Every service answers the same classification task: all-MiniLM-L6-v2 with the same head, in fp32, on the same
cores with as many threads, on the same real sentences, each new to every cache. Answers are compared first; a
service that says something else is not measured. Two services are asked in turn (A B A B …) in the same
minutes, and a figure is the ratio of their medians: above 1 is in our favour where rates are compared, below
1 where times or memory are."""


def page(rows: Mapping[str, Measured], surveys: Sequence[Survey], *, peers: Mapping[str, str]) -> str:
    """The whole page as Markdown.

    Args:
        rows: Measured rows by id; the others are shown as not measured.
        surveys: Of the peers.
        peers: Titles of all that there are, by name; likewise.
    """
    parts = [INTRODUCTION]
    if any(each.fault is None for each in surveys):
        parts += [
            f"![Requests a second of each service, as a share of EncodeOnce's in the same minutes]({PICTURE})"
        ]
        parts += ["## Peers", peers_table(surveys, peers), PEERS_NOTE]
    parts += ["## Targets", targets_table(rows), *_notes(rows)]
    return "\n\n".join([*parts, HOW]) + "\n"


HOW = """\
Where the time goes, what explains the misses and what was tried: [the profile](serving_profile.md).

## Measure it yourself

`make bench` and `make bench-peers` (`QUICK=--quick` for a first look) need `wrk` and the sentences of SST-5
and Quora that `CS224N_DATA` names; nothing else may run meanwhile. Each peer gets an environment of its own
under `.peers/`, and the best of its ways to run counts: vLLM by each way to place its threads, Infinity by
its torch and its ONNX engine. LitServe, Ray Serve, PyTriton and BentoML serve a few lines of ours
(`loadtests/peers/servers/`), as their users would write them: padded batches of at most 32. Figures are
kept in `.peers/results/`, so that a measurement goes on where it was stopped, and this page is made of
them: `python -m loadtests.peers report`. A figure taken beside other work is marked as not valid."""


PEERS_NOTE = """\
The columns at 1, 16 and 64 requests under way are *their* rate ÷ ours, next to each other in time: 0.5 is
half as fast as EncodeOnce. vLLM, which keeps a core busy while nobody asks it, stands still (SIGSTOP) while
EncodeOnce is asked. The brackets hold the lowest and the highest pair. Memory is the proportional set size
(PSS) of all processes of a service; EncodeOnce holds six tasks in it, the others one. Idle is what a
service keeps busy, of a core, while nobody asks."""


def peers_table(surveys: Sequence[Survey], peers: Mapping[str, str]) -> str:
    """A line for each peer, the quickest at high concurrency first; those without figures last."""
    measured = sorted(
        (each for each in surveys if each.fault is None),
        key=lambda each: each.ratio(CONCURRENCIES[-1]).of_medians,
    )
    heads = [f"at {level}" for level in CONCURRENCIES]
    lines = [
        f"| service | {' | '.join(heads)} | memory | idle | ready | scores differ by | measured, UTC | |",
        f"|---|{'---|' * len(heads)}---|---|---|---|---|---|",
    ]
    for each in measured:
        cells = [each.title, *(_their_share(each, level) for level in CONCURRENCIES)]
        cells += [f"{each.pss_mib:.0f} MiB (ours {each.our_pss_mib:.0f})", f"{100 * each.idle_cores:.0f} %"]
        cells += [f"{each.ready_s:.0f} s", f"{each.worst_score:.0e}", each.at.removesuffix("+00:00")]
        cells.append("" if each.is_calm else f"{each.load:.1f} cores busy otherwise: not valid")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [_line_without_figures(each.title, each.fault) for each in surveys if each.fault is not None]
    known = {each.peer for each in surveys}
    lines += [_line_without_figures(title) for name, title in peers.items() if name not in known]
    return "\n".join(lines)


def _their_share(survey: Survey, concurrency: int) -> str:
    found = survey.ratio(concurrency)
    pairs = [1 / each for each in found.of_pairs.values]
    return f"{1 / found.of_medians:.2f} ({min(pairs):.2f} to {max(pairs):.2f})"


def _line_without_figures(title: str, fault: str | None = None) -> str:
    empty = " |" * (len(CONCURRENCIES) + 5)
    why = NOT_YET if fault is None else f"not measured: {fault.splitlines()[0].replace('|', '/')}"
    return f"| {title} |{empty} {why} |"


def targets_table(rows: Mapping[str, Measured]) -> str:
    """Every row of the table of targets."""
    lines = [
        "| id | what | figure | pairs (min to max) | target | met | made of | command |",
        f"|{'---|' * 8}",
    ]
    lines += [_target_line(name, planned, rows.get(name)) for name, planned in PLANNED.items()]
    return "\n".join(lines)


def _target_line(name: str, planned: PlannedRow, measured: Measured | None) -> str:
    target, command = planned.target, f"`{planned.command}`"
    if measured is None:
        return f"| {name} | {planned.what} | {NOT_YET} | | {target} | | | {command} |"
    row, unit = measured.row, target.unit
    spread = f"{row.spread.low:.2f} to {row.spread.high:.2f} ({len(row.spread.values)})"
    met = "yes" if target.is_met(row.value) else "**no**"
    if measured.circumstances.is_busy:
        met = f"{measured.circumstances.load:.1f} cores busy otherwise: not valid"
    return (
        f"| {name} | {planned.what} | **{row.value:.2f}{unit}** | {spread} | {target} | {met} | {row.detail} "
        f"| {command} |"
    )


def _notes(rows: Mapping[str, Measured]) -> list[str]:
    """The different circumstances under which rows were measured."""
    by_run: dict[tuple[str, str, str], list[str]] = {}
    for name, measured in rows.items():
        by_run.setdefault(_circumstances(measured.circumstances), []).append(name)
    if not by_run:
        return []
    return ["\n".join(f"- {_run(names, *run)}" for run, names in by_run.items())]


def _circumstances(found: Circumstances) -> tuple[str, str, str]:
    hardware = f"{found.cpu}, {found.cores} cores, {found.threads} threads"
    when = f"commit {found.commit}, {found.started:%Y-%m-%d %H:%M} UTC, {found.load:.1f} cores busy before"
    return hardware, when, found.command


def _run(names: Iterable[str], hardware: str, when: str, command: str) -> str:
    return f"{', '.join(names)}: {hardware}; {when}; `{command}`."
