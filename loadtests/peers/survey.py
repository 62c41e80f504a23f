"""A peer beside us: answers first, then speeds in turn, then memory. One small JSON file a peer."""

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadtests.closed_loop import ClosedLoopRun
from loadtests.errors import LoadTestError
from loadtests.peers.agreement import compare_scores
from loadtests.peers.peer import Peer
from loadtests.peers.resources import idle_cores, pss_mib
from loadtests.peers.rounds import CONCURRENCIES, Rounds
from loadtests.peers.sides import Side, our_side, peer_side
from loadtests.peers.texts import Rotation
from loadtests.ratios import Ratio, interleave, ratio
from loadtests.report import busy_cores

MOST_BUSY = 0.25
"""Cores that others may keep busy, for a figure to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What both sides have in common."""

    bundle: Path
    models: Path
    """Of a transformers folder a task."""
    folder: Path
    """Of environments and results."""
    tasks: Mapping[str, Sequence[str]]
    """Their labels, by task; the first is asked where one is."""
    texts: Rotation
    threads: int
    rounds: Rounds

    @property
    def task(self) -> str:
        """The one that is asked where one is."""
        return next(iter(self.tasks))

    @property
    def labels(self) -> Sequence[str]:
        """Its labels."""
        return self.tasks[self.task]

    @contextlib.contextmanager
    def ours(self, **environment: str) -> Iterator[Side]:
        """Our service, with further settings."""
        with our_side(self.bundle, self.task, threads=self.threads, environment=environment) as side:
            yield side

    @contextlib.contextmanager
    def theirs(self, peer: Peer, task: str | None = None) -> Iterator[Side]:
        """A peer, by default with the task that is asked where one is."""
        task = task or self.task
        with peer_side(
            peer,
            folder=self.folder,
            model=self.models / task,
            bundle=self.bundle,
            task=task,
            threads=self.threads,
        ) as side:
            yield side

    def run(self, side: Side, texts: Sequence[str], *, concurrency: int) -> ClosedLoopRun:
        """Drive one side on texts that are new to it.

        Raises:
            LoadTestError: If one of ours was in the cache, or nothing was answered.
        """
        run = side.drive(
            texts,
            concurrency=concurrency,
            window_s=self.rounds.window_s,
            warm_up_s=self.rounds.warm_up_s,
        )
        if side.counts_hits and run.found:
            raise LoadTestError(f"{run.found} texts were found in the cache: they were not new.")
        if not run.texts_per_s:
            raise LoadTestError(f"{side.title} answered nothing in {self.rounds.window_s} s.")
        return run

    def closed_loops(self, a: Side, b: Side, *, concurrency: int) -> Ratio:
        """Two sides in turn, both on the same texts in each pair."""
        texts: list[str] = []

        def first(_pair: int) -> float:
            texts[:] = self.texts.take(self.rounds.texts_a_run)
            run = self.run(a, texts, concurrency=concurrency)
            self.texts.give_back(len(texts) - run.sent)
            return run.texts_per_s

        def second(_pair: int) -> float:
            return self.run(b, texts, concurrency=concurrency).texts_per_s

        return interleave(first, second, pairs=self.rounds.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of a peer."""

    peer: str
    title: str
    at: str
    """When, UTC."""
    load: float
    """Cores that were busy before the peer was started."""
    commit: str = "unknown"
    """Of our side."""
    command: str = "unknown"
    fault: str | None = None
    """Why there is nothing to compare."""
    worst_score: float = 0.0
    """Largest difference of a score from ours."""
    ready_s: float = 0.0
    idle_cores: float = 0.0
    """That it keeps busy while nobody asks."""
    pss_mib: float = 0.0
    """After the last run."""
    our_pss_mib: float = 0.0
    """Of our service with all its tasks, likewise."""
    rates: dict[int, tuple[list[float], list[float]]] = field(default_factory=dict)
    """Texts a second by concurrency: ours, theirs, in pairs next to each other in time."""

    @property
    def is_calm(self) -> bool:
        """Whether nothing else was running."""
        return self.load <= MOST_BUSY

    def ratio(self, concurrency: int) -> Ratio:
        """Ours ÷ theirs."""
        ours, theirs = self.rates[concurrency]
        return ratio(ours, theirs)


def survey(contest: Contest, peer: Peer, *, on_step: Callable[[str], None]) -> Survey:
    """Start a peer, compare answers, measure.

    Raises:
        LoadTestError: If it does not start, answers otherwise than we do, or fails under load.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="minutes")
    with contest.ours() as ours:
        load = busy_cores(contest.rounds.idle_s)
        on_step(f"{peer.name}: start")
        with contest.theirs(peer) as theirs:
            on_step(f"{peer.name}: answers")
            checked = contest.texts.take(contest.rounds.checked_texts)
            worst = compare_scores(
                ours.answers(checked, contest.labels),
                theirs.answers(checked, contest.labels),
                title=peer.title,
            )
            with theirs.awake():
                idle = idle_cores(theirs.server, seconds=contest.rounds.idle_s)
            rates = {}
            for concurrency in CONCURRENCIES:
                on_step(f"{peer.name}: concurrency {concurrency}")
                found = contest.closed_loops(ours, theirs, concurrency=concurrency)
                rates[concurrency] = (list(found.a.values), list(found.b.values))
            return Survey(
                peer=peer.name,
                title=peer.title,
                at=now,
                load=load,
                worst_score=worst,
                ready_s=theirs.server.ready_s,
                idle_cores=idle,
                pss_mib=pss_mib(theirs.server),
                our_pss_mib=pss_mib(ours.server),
                rates=rates,
            )


def save(result: Survey, folder: Path) -> None:
    """Write a result, complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / f".staging-{result.peer}"
    staging.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    staging.rename(folder / f"peer-{result.peer}.json")


def load_surveys(folder: Path) -> list[Survey]:
    """Every result that is there."""
    return [
        _read(json.loads(file.read_text(encoding="utf-8"))) for file in sorted(folder.glob("peer-*.json"))
    ]


def _read(values: dict[str, Any]) -> Survey:
    rates = {int(level): (ours, theirs) for level, (ours, theirs) in values.pop("rates").items()}
    return Survey(**values, rates=rates)


def best_of(surveys: Sequence[Survey], *, concurrency: int) -> Survey:
    """The peer that comes nearest to us, or furthest past us: what it is ahead of then, it is ahead of now.

    Peers are compared by their ratio to us, which was measured next to each of them, and not by their rates,
    which were measured at different times.

    Raises:
        LoadTestError: If no peer was measured.
    """
    measured = [each for each in surveys if each.fault is None]
    if not measured:
        raise LoadTestError("No peer was measured. Run python -m loadtests.peers measure.")
    return min(measured, key=lambda each: each.ratio(concurrency).of_medians)
