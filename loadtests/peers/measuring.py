"""A whole measurement: surveys, then rows; each result is kept as soon as it is there."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from loadtests.closed_loop import find_wrk
from loadtests.errors import LoadTestError
from loadtests.peers.against_best import BUSY, measure_b4, measure_b5, measure_b7, measure_b12
from loadtests.peers.alone import measure_b8, measure_b9, measure_b10
from loadtests.peers.known import PEERS
from loadtests.peers.open_loops import CountTokens, OpenLoops, measure_b11, measure_highest_rate
from loadtests.peers.peer import Peer
from loadtests.peers.sides import Side
from loadtests.peers.survey import Contest, Survey, best_of, load_surveys, save, survey
from loadtests.peers.venvs import is_installed
from loadtests.report import Circumstances, RowResult
from loadtests.results import load_rows, save_rows
from loadtests.targets import PLANNED


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """What a measurement works with."""

    contest: Contest
    results: Path
    circumstances: Circumstances
    num_tokens: CountTokens
    again: bool
    """Whether what is there already is measured once more."""
    say: Callable[[str], None]

    def surveys(self, peers: Sequence[Peer]) -> None:
        """Measure each peer that has no result. One that fails is noted with its fault.

        Raises:
            LoadTestError: If wrk is missing.
        """
        find_wrk()
        known = {each.peer for each in load_surveys(self.results) if each.fault is None}
        wanted = [peer for peer in peers if self.again or peer.name not in known]
        for peer in wanted:
            save(self._survey(peer), self.results)
        measured = [each for each in load_surveys(self.results) if each.fault is None]
        for row, best in measure_b4(measured) if measured else ():
            save_rows([row], self._circumstances_of(best), self.results)

    def rows(self, names: Sequence[str]) -> None:
        """Measure each row that has no result.

        A row that cannot be measured is said, and the others are measured.
        """
        wanted = [name for name in names if self.again or not self._is_known(name)]
        if beside := [name for name in wanted if name in BESIDE_BEST]:
            try:
                with self.contest.theirs(self.best) as theirs:  # started once: that takes longer than a row
                    for name in beside:
                        self._measure(name, partial(BESIDE_BEST[name], self, theirs))
            except LoadTestError as error:
                self.say(f"{', '.join(beside)}: not measured: {error}")
        for name in wanted:
            if name in BY_ITSELF:
                self._measure(name, partial(BY_ITSELF[name], self))

    def _is_known(self, name: str) -> bool:
        known = load_rows(self.results)
        return all(part in known for part, planned in PLANNED.items() if planned.command.endswith(f" {name}"))

    def _measure(self, name: str, measure: Callable[[], list[RowResult]]) -> None:
        self.say(f"{name}: {self._clock()}")
        try:
            found = measure()
        except LoadTestError as error:
            self.say(f"{name}: not measured: {error}")
            return
        save_rows(found, self.circumstances, self.results)
        for row in found:
            self.say(f"{row.id}: {row.value:.2f}{row.target.unit} ({row.target}): {row.detail}")

    @property
    def open_loops(self) -> OpenLoops:
        """What the rows of the open loop send."""
        return OpenLoops(contest=self.contest, num_tokens=self.num_tokens)

    @property
    def best(self) -> Peer:
        """The peer that the rows are measured against.

        Raises:
            LoadTestError: If no peer was measured.
        """
        return PEERS[best_of(load_surveys(self.results), concurrency=BUSY).peer]

    def _circumstances_of(self, survey: Survey) -> Circumstances:
        """A survey may be older than this call."""
        return replace(
            self.circumstances,
            commit=survey.commit,
            command=survey.command,
            started=dt.datetime.fromisoformat(survey.at),
            load=survey.load,
        )

    def _survey(self, peer: Peer) -> Survey:
        at = self._clock()
        try:
            if not is_installed(peer, self.contest.folder):
                raise LoadTestError(f"not installed: python -m loadtests.peers install {peer.name}")
            found = survey(self.contest, peer, on_step=lambda words: self.say(f"{words}: {self._clock()}"))
            return replace(found, commit=self.circumstances.commit, command=self.circumstances.command)
        except LoadTestError as error:
            self.say(f"{peer.name}: not measured: {error}")
            return Survey(peer=peer.name, title=peer.title, at=at, load=0.0, fault=str(error))

    @staticmethod
    def _clock() -> str:
        return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


BESIDE_BEST: Mapping[str, Callable[[Measuring, Side], list[RowResult]]] = {
    "B5": lambda run, theirs: [measure_b5(run.contest, theirs)],
    "B7": lambda run, theirs: [measure_b7(run.contest, theirs)],
    "B11": lambda run, theirs: [measure_b11(run.open_loops, theirs)],
    "B11/rate": lambda run, theirs: [measure_highest_rate(run.open_loops, theirs)],
}
"""Rows that need the best peer, in the order in which they are measured."""
BY_ITSELF: Mapping[str, Callable[[Measuring], list[RowResult]]] = {
    "B8": lambda run: measure_b8(run.contest),
    "B9": lambda run: measure_b9(run.contest),
    "B10": lambda run: [measure_b10(run.contest)],
    "B12": lambda run: measure_b12(run.contest, run.best),
}
"""Rows that start what they need, likewise."""
ROWS = (*BESIDE_BEST, *BY_ITSELF)
UNASKED = ("B11/rate", "B12")
"""Measured only by name: they take minutes, the latter to start six services of a peer."""
