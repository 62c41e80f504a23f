import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.errors import LoadTestError
from loadtests.open_loop import OpenLoopRun, Outcome
from loadtests.overload import main
from loadtests.overloading import Memory, Overload, OverloadPlan, overload_rows
from loadtests.ratios import Spread
from loadtests.report import RowResult
from loadtests.texts import SOURCES, EndlessTexts
from tests.support.tiny import WORDS

PLAN = OverloadPlan(task="mood", texts_per_request=10, base_s=10, overload_s=12, after_s=5)
STARTED_S = 1000.0
BASE_LATENCY_S = 0.1


def outcomes(
    since_s: float, until_s: float, every_s: float, *, latency_s: float, status: int = 200
) -> list[Outcome]:
    count = round((until_s - since_s) / every_s)
    times = [since_s + place * every_s for place in range(count)]
    return [
        Outcome(intended_s=each, sent_s=each, finished_s=each + latency_s, status=status) for each in times
    ]


def rows(
    *,
    accepted_every_s: float = 0.5,
    accepted_latency_s: float = 0.15,
    after: list[Outcome] | None = None,
    samples: list[tuple[float, int]] | None = None,
) -> dict[str, RowResult]:
    arrivals = PLAN.arrivals(20)
    seen = Overload(
        plan=PLAN,
        capacity=Spread(values=(20.0, 30.0)),
        memory=Memory(
            samples=[(990.0, 100), *((STARTED_S + second, 200) for second in range(30))]
            if samples is None
            else samples
        ),
        run=OpenLoopRun(
            arrivals=arrivals,
            outcomes=(
                *outcomes(0, 10, 0.5, latency_s=BASE_LATENCY_S),
                *outcomes(10, 22, accepted_every_s, latency_s=accepted_latency_s),
                *outcomes(10, 22, 0.05, latency_s=0.01, status=429),
                *(outcomes(22, 27, 0.5, latency_s=0.1) if after is None else after),
            ),
            sender_cpu_s=1,
            sender_wall_s=30,
            started_s=STARTED_S,
            failures={},
        ),
    )
    return {row.id: row for row in overload_rows(seen)}


def test_goodput_counts_accepted_texts_alone_against_the_mean_capacity() -> None:
    row = rows()["O1"]
    assert row.value == pytest.approx(20 / 25)  # a request of ten texts every half second
    assert not row.is_met
    assert "240 requests were refused, 24 answered" in row.detail
    assert rows(accepted_every_s=0.4)["O1"].is_met


def test_the_latency_of_refusals_counts_for_nothing() -> None:
    assert rows()["O2"].value == pytest.approx(1.5)
    assert not rows(accepted_latency_s=0.21)["O2"].is_met


def test_memory_that_grows_within_the_overload_is_seen_and_what_it_grew_before_is_not() -> None:
    assert rows()["O3"].value == 0
    grown = [(STARTED_S + second, 100 + second) for second in range(30)]
    row = rows(samples=grown)["O3"]
    assert row.value == pytest.approx(100 * (121 / 113 - 1))
    assert not row.is_met


def test_recovery_lasts_until_the_last_request_that_is_refused_or_slow() -> None:
    late = [
        *outcomes(22, 27, 0.5, latency_s=0.1),
        *outcomes(23, 23.5, 0.5, latency_s=0.01, status=429),
        *outcomes(23.5, 24, 0.5, latency_s=0.3),
    ]
    assert rows(after=late)["O4"].value == pytest.approx(1.5)
    assert rows()["O4"].value == 0


def test_an_overload_in_which_nothing_is_accepted_has_no_latency() -> None:
    with pytest.raises(LoadTestError, match="No request"):
        rows(accepted_every_s=100)


@given(st.floats(100, 2000))
def test_the_loads_are_shares_of_the_capacity(capacity: float) -> None:
    plan = OverloadPlan(task="mood")
    rates = [each.rate_per_s * 16 / capacity for each in plan.arrivals(capacity).phases]
    assert rates == pytest.approx([0.8, 10, 0.5])
    assert plan.arrivals(capacity).times_s() == sorted(plan.arrivals(capacity).times_s())


def test_endless_texts_are_never_the_same_for_an_encoder_without_capitals() -> None:
    texts = EndlessTexts(["one two three four five", "One Two Three Four Five", "a b c"], seed=0)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(texts.take(30))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({text.casefold() for text in found}) == len(found) == 120
    with pytest.raises(LoadTestError, match="more texts are needed"):
        texts.take(10)  # five words have 120 orders, three have six


@pytest.fixture
def long_texts(tmp_path: Path) -> Path:
    """A data folder whose texts have more orders of their words than a load test can use up."""
    choice = random.Random(0)
    for name in SOURCES:
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        texts = [" ".join(choice.choices(WORDS, k=12)) for _ in range(200)]
        rows = [dict.fromkeys(("text", "text_a", "text_b"), text) for text in texts]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "data"


@pytest.mark.integration
def test_a_real_service_is_overloaded(
    long_texts: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "results" / "overload.md"
    options: list[Any] = [tiny_bundle, "--data", long_texts, "--output", report, "--threads", 1]
    options += ["--seconds", 1, "--after", 1, "--window", 1, "--pairs", 1, "--capacity-texts", 256]
    assert main(list(map(str, options))) == 0
    text = report.read_text(encoding="utf-8")
    assert text == capsys.readouterr().out.removesuffix("\n")
    ids = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| O")]
    assert ids == ["| O1", "| O2", "| O3", "| O4", "| O5"]
