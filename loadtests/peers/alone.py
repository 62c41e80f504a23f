"""Rows of our service alone: the price of a cache hit (B8), of repetitions (B9), and of looking (B10)."""

import random
from collections.abc import Sequence
from functools import partial

from loadtests.closed_loop import ClosedLoopRun
from loadtests.duplicates import DuplicatingSource
from loadtests.errors import LoadTestError
from loadtests.peers.against_best import BUSY, row
from loadtests.peers.peer import Ours
from loadtests.peers.resources import cpu_s
from loadtests.peers.sides import Side
from loadtests.peers.survey import Contest
from loadtests.ratios import Ratio, Spread, interleave, ratio
from loadtests.report import RowResult
from loadtests.server import serve
from loadtests.targets import PLANNED

NOOP = "loadtests.noop:EncodeOnce"
NO_ANSWERS_KEPT = {"ENCODEONCE_ANSWER_CACHE_BYTES": "0"}
KNOWN_TEXTS = 500
"""That are asked again and again where all are to be hits."""
HITS_PER_S = 8000
"""No service is quicker: enough requests are handed out for that."""
SHARES = (0.5, 0.9)
"""Of duplicates."""
CPU_CONCURRENCY = 16


def measure_b8(contest: Contest) -> list[RowResult]:
    """Time of a cache hit ÷ time of a constant answer, through the same routes."""
    known = contest.texts.take(KNOWN_TEXTS)
    with (
        contest.ours() as ours,
        serve(
            contest.bundle, threads=contest.threads, service=NOOP, environment=NO_ANSWERS_KEPT
        ) as noop_server,
    ):
        noop = Side(title="no-op endpoint", asking=Ours(task=contest.task), server=noop_server)
        rows = []
        for concurrency in (1, 16):
            times = interleave(
                partial(_time_of_hit, contest, ours, known, concurrency),
                partial(_time_of_known, contest, noop, known, concurrency),
                pairs=contest.rounds.fine_pairs,
            )
            detail = (
                f"{1e6 * times.a.median:.0f} µs ÷ {1e6 * times.b.median:.0f} µs a request (no-op endpoint)"
            )
            rows.append(row(f"B8/{concurrency}", times, detail=detail))
    return rows


def measure_b9(contest: Contest, *, seed: int = 0) -> list[RowResult]:
    """Rates with repetitions ÷ what the rates without any, and with nothing else, let expect."""
    generator = random.Random(seed)
    known = contest.texts.take(KNOWN_TEXTS)
    none: list[float] = []
    every: list[float] = []
    some: dict[float, list[float]] = {share: [] for share in SHARES}
    with contest.ours() as ours:
        for _ in range(contest.rounds.pairs):
            texts = contest.texts.take(contest.rounds.texts_a_run)
            run = contest.run(ours, texts, concurrency=BUSY)
            contest.texts.give_back(len(texts) - run.sent)
            none.append(run.texts_per_s)
            for share in SHARES:
                some[share].append(_rate_with_duplicates(contest, ours, share, generator))
            every.append(_rate_of_hits(contest, ours, known, BUSY))
    return [_duplicates_row(share, none, some[share], every) for share in SHARES]


def measure_b10(contest: Contest) -> RowResult:
    """CPU seconds a request of new texts, with the cache and without it.

    Each pair has two services of its own: two processes of the same program differ for as long as they live,
    by as much as is to be seen here.
    """
    pairs = [_cpu_with_and_without(contest) for _ in range(contest.rounds.fine_pairs)]
    found = ratio([with_cache for with_cache, _ in pairs], [without for _, without in pairs])
    return RowResult(
        id="B10",
        what=PLANNED["B10"].what,
        value=100 * (found.of_medians - 1),
        spread=Spread(values=tuple(100 * (each - 1) for each in found.of_pairs.values)),
        target=PLANNED["B10"].target,
        detail=f"{1e6 * found.a.median:.0f} µs with the cache, {1e6 * found.b.median:.0f} µs without it",
    )


def _cpu_with_and_without(contest: Contest) -> tuple[float, float]:
    texts = contest.texts.take(contest.rounds.texts_a_run)
    with contest.ours() as on, contest.ours(ENCODEONCE_POOLED_CACHE_BYTES="0", **NO_ANSWERS_KEPT) as off:
        return _cpu_a_request(contest, on, texts), _cpu_a_request(contest, off, texts)


def harmonic_mix(cold: float, hit: float, *, share: float) -> float:
    """The rate where a share of the requests takes the time of a hit, and the others that of a miss."""
    return 1 / ((1 - share) / cold + share / hit)


def _duplicates_row(
    share: float, none: Sequence[float], some: Sequence[float], every: Sequence[float]
) -> RowResult:
    expected = [harmonic_mix(cold, hit, share=share) for cold, hit in zip(none, every, strict=True)]
    found = Ratio(a=Spread(values=tuple(some)), b=Spread(values=tuple(expected)))
    cold, hit = Spread(values=tuple(none)).median, Spread(values=tuple(every)).median
    detail = (
        f"{found.a.median:.0f} texts/s ÷ {found.b.median:.0f} texts/s "
        f"(mix of {cold:.0f} cold and {hit:.0f} all hits)"
    )
    return row(f"B9/{100 * share:.0f}", found, detail=detail)


def _rate_with_duplicates(contest: Contest, side: Side, share: float, generator: random.Random) -> float:
    rounds = contest.rounds
    count = int(rounds.texts_a_run / (1 - share))
    # A draw is fresh with probability 1 − share; a tenth more than that are at hand.
    fresh = contest.texts.take(min(rounds.texts_a_run * 11 // 10, len(contest.texts)))
    source = DuplicatingSource(fresh, duplicates=share, generator=generator)
    run = side.drive(
        [source.draw() for _ in range(count)],
        concurrency=BUSY,
        window_s=rounds.window_s,
        warm_up_s=rounds.warm_up_s,
    )
    return run.texts_per_s


def _rate_of_hits(contest: Contest, side: Side, known: Sequence[str], concurrency: int) -> float:
    """Rate where every answer is in the cache.

    Raises:
        LoadTestError: If one was not.
    """
    side.answers(known, contest.labels)
    run = _run_of_known(contest, side, known, concurrency)
    if run.found < run.answered:
        raise LoadTestError(f"{run.answered - run.found} of {run.answered} texts were not in the cache.")
    return run.texts_per_s


def _time_of_hit(contest: Contest, side: Side, known: Sequence[str], concurrency: int, _pair: int) -> float:
    return 1 / _rate_of_hits(contest, side, known, concurrency)


def _time_of_known(contest: Contest, side: Side, known: Sequence[str], concurrency: int, _pair: int) -> float:
    return 1 / _run_of_known(contest, side, known, concurrency).texts_per_s


def _run_of_known(contest: Contest, side: Side, known: Sequence[str], concurrency: int) -> ClosedLoopRun:
    rounds = contest.rounds
    texts = [known[index % len(known)] for index in range(rounds.run_s * HITS_PER_S)]
    return side.drive(texts, concurrency=concurrency, window_s=rounds.window_s, warm_up_s=rounds.warm_up_s)


def _cpu_a_request(contest: Contest, side: Side, texts: Sequence[str]) -> float:
    before_s = cpu_s(side.server)
    answered = contest.run(side, texts, concurrency=CPU_CONCURRENCY).answered
    return (cpu_s(side.server) - before_s) / answered
