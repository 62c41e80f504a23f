"""Rows that hold our rates and memory against the best peer's: B4, B5, B7 and B12."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from loadtests.peers.peer import Asking, Ours, Peer
from loadtests.peers.resources import pss_mib
from loadtests.peers.rounds import CONCURRENCIES
from loadtests.peers.sides import Side
from loadtests.peers.survey import Contest, Survey, best_of
from loadtests.ratios import Ratio, Spread, interleave
from loadtests.report import RowResult
from loadtests.targets import PLANNED

BUSY = 64
"""Concurrency at which rates are those of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryTask(Ours):
    """This repository's service, asked for several tasks at once."""

    tasks: Sequence[str]

    @property
    def path(self) -> str:
        """Of any number of tasks."""
        return "/v1/predict"

    def body(self, text: str) -> dict[str, Any]:
        """One input, all tasks."""
        return {"inputs": [{"text": text}], "tasks": list(self.tasks)}


def measure_b4(surveys: Sequence[Survey]) -> list[tuple[RowResult, Survey]]:
    """What the surveys say of the best peer at each concurrency, and which of them says it."""
    rows = []
    for concurrency in CONCURRENCIES:
        best = best_of(surveys, concurrency=concurrency)
        found = best.ratio(concurrency)
        rows.append((row(f"B4/{concurrency}", found, detail=_rates(found, best.title)), best))
    return rows


def measure_b5(contest: Contest, theirs: Side) -> RowResult:
    """Our int8 ÷ their fp32."""
    with contest.ours(ENCODEONCE_PRECISION="int8") as ours:
        found = contest.closed_loops(ours, theirs, concurrency=BUSY)
    return row("B5", found, detail=_rates(found, theirs.title))


def measure_b7(contest: Contest, theirs: Side) -> RowResult:
    """All our tasks in one request ÷ as many requests to one model of theirs."""
    passes = len(contest.tasks)
    with contest.ours() as one:
        ours = _asked_for_all(contest, one)

        def six_passes(texts: Sequence[str]) -> float:
            repeated = [text for text in texts for _ in range(passes)]
            return contest.run(theirs, repeated, concurrency=BUSY).texts_per_s / passes

        found = _in_turn(contest, ours, six_passes)
    return row("B7", found, detail=_rates(found, f"{theirs.title}, one model asked {passes} times"))


def measure_b12(contest: Contest, best: Peer) -> list[RowResult]:
    """All our tasks in one service ÷ one model a task of theirs: memory, and the rate while they all run."""
    with contextlib.ExitStack() as stack:
        ours = _asked_for_all(contest, stack.enter_context(contest.ours()))
        models = [stack.enter_context(contest.theirs(best, task)) for task in contest.tasks]
        share = max(1, BUSY // len(models))

        def six_models(texts: Sequence[str]) -> float:
            with ThreadPoolExecutor(len(models)) as clients:
                runs = clients.map(lambda each: contest.run(each, texts, concurrency=share), models)
                # A text is done when its last task is.
                return min(run.texts_per_s for run in runs)

        found = _in_turn(contest, ours, six_models)
        memory = [pss_mib(each.server) for each in models]
        our_memory = pss_mib(ours.server)
    value = our_memory / sum(memory)
    return [
        row("B7/models", found, detail=_rates(found, f"{best.title}, {len(models)} models")),
        RowResult(
            id="B12",
            what=PLANNED["B12"].what,
            value=value,
            spread=Spread(values=(value,)),
            target=PLANNED["B12"].target,
            detail=f"{our_memory:.0f} MiB ÷ {sum(memory):.0f} MiB ({best.title}, {len(models)} models)",
        ),
    ]


def _asked_for_all(contest: Contest, side: Side) -> Side:
    asking: Asking = EveryTask(task=contest.task, tasks=tuple(contest.tasks))
    return Side(title=side.title, asking=asking, server=side.server, counts_hits=True)


def _in_turn(contest: Contest, ours: Side, theirs: Callable[[Sequence[str]], float]) -> Ratio:
    texts: list[str] = []

    def first(_pair: int) -> float:
        texts[:] = contest.texts.take(contest.rounds.texts_a_run)
        run = contest.run(ours, texts, concurrency=BUSY)
        contest.texts.give_back(len(texts) - run.sent)
        return run.texts_per_s

    return interleave(first, lambda _pair: theirs(texts), pairs=contest.rounds.pairs)


def row(name: str, found: Ratio, *, detail: str) -> RowResult:
    """A row whose value is the ratio of two medians."""
    return RowResult(
        id=name,
        what=PLANNED[name].what,
        value=found.of_medians,
        spread=found.of_pairs,
        target=PLANNED[name].target,
        detail=detail,
    )


def _rates(found: Ratio, divisor: str) -> str:
    return f"{found.a.median:.0f} texts/s ÷ {found.b.median:.0f} texts/s ({divisor})"
