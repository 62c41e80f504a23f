"""The table of results, with everything that a figure means nothing without."""

import datetime as dt
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtests.ratios import Spread
from service.cpus import usable_cpus

ROOT = Path(__file__).resolve().parent.parent
BUSY_SHARE = 0.25
"""Of the cores, before anything is measured, from which on the machine counts as busy."""
LOOK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a row is to reach."""

    bound: float
    is_upper: bool = False
    unit: str = ""

    def is_met(self, value: float) -> bool:
        """Whether a result is as good as the bound."""
        return value <= self.bound if self.is_upper else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.is_upper else '≥'} {self.bound:g}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """One measured row of the table."""

    id: str
    what: str
    value: float
    spread: Spread
    """Each pair's ratio, or each start's seconds."""
    target: Target
    detail: str
    """The absolute medians. Never a result on shared cores; they say what the ratio is made of."""

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        return self.target.is_met(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where, when and how a measurement was made."""

    cpu: str
    cores: int
    threads: int
    commit: str
    command: str
    started: dt.datetime
    load: float
    """Cores that were busy just before the start. The usual average is over a minute, in which an earlier
    measurement may still have run."""
    settings: Mapping[str, str]
    """``ENCODEONCE_*`` variables of the environment."""

    @property
    def is_busy(self) -> bool:
        """Whether something else was running, so that the figures cannot be trusted."""
        return self.load > BUSY_SHARE * self.cores

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, {self.threads} threads; commit {self.commit}, "
            f"{self.load:.1f} cores busy before"
        )


def look_around(command: str, *, threads: int) -> Circumstances:
    """Note the circumstances, before the measurement changes them."""
    return Circumstances(
        cpu=_cpu_model(),
        cores=usable_cpus(),
        threads=threads,
        commit=_commit(),
        command=command,
        started=dt.datetime.now(dt.UTC),
        load=busy_cores(),
        settings={key: value for key, value in sorted(os.environ.items()) if key.startswith("ENCODEONCE_")},
    )


def busy_cores(seconds: float = LOOK_S) -> float:
    """Cores that anything on this machine kept busy for the next moments."""
    share: float = psutil.cpu_percent(seconds) / 100
    return share * usable_cpus()


def markdown(
    rows: Sequence[RowResult],
    circumstances: Circumstances,
    notes: Sequence[str],
    *,
    title: str = "Speed of the service",
) -> str:
    """The report."""
    lines = [
        f"# {title}",
        "",
        "| id | what | result | pairs (min, median, max) | target | met | made of |",
        "|---|---|---|---|---|---|---|",
        *map(_line, rows),
        "",
        f"- Hardware: {circumstances.cpu}, {circumstances.cores} cores; either side has "
        f"{circumstances.threads} encoder threads.",
        f"- Commit: {circumstances.commit}. Date: {circumstances.started:%Y-%m-%d %H:%M} UTC.",
        f"- Command: `{circumstances.command}`",
        *(f"- {note}" for note in notes),
    ]
    if circumstances.settings:
        settings = " ".join(f"{key}={value}" for key, value in circumstances.settings.items())
        lines.append(f"- Settings: `{settings}`")
    if circumstances.is_busy:
        lines.append(
            f"- **Taken on a busy machine**: {circumstances.load:.1f} cores were busy before the start. "
            "The figures are not valid."
        )
    return "\n".join(lines) + "\n"


def _line(row: RowResult) -> str:
    unit, spread = row.target.unit, row.spread
    cells = [
        row.id,
        row.what,
        f"**{row.value:.2f}{unit}**",
        f"{spread.low:.2f}, {spread.median:.2f}, {spread.high:.2f} ({len(spread.values)})",
        str(row.target),
        "yes" if row.is_met else "**no**",
        row.detail,
    ]
    return f"| {' | '.join(cells)} |"


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Short hash, and whether there are changes beyond it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with uncommitted changes" if changes else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
