"""A real measurement beside a real peer: plain BentoML needs no environment of its own."""

import datetime as dt
import shutil
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import pytest

from export.manifest import read_manifest
from loadtests.peers.known import PEERS
from loadtests.peers.measuring import Measuring
from loadtests.peers.rounds import QUICK
from loadtests.peers.survey import Contest, load_surveys, save
from loadtests.peers.texts import Rotation
from loadtests.results import load_rows
from tests.loadtests.peers.samples import CALM, survey_of
from tests.support.tiny import WORDS

ROUNDS = replace(
    QUICK,
    pairs=1,
    fine_pairs=1,
    window_s=1.4,
    warm_up_s=0.1,
    checked_texts=8,
    idle_s=0.1,
    most_texts_per_s=6000,
)
TEXTS = [" ".join(words) for words in islice(product(WORDS, repeat=3), 50_000)]
"""New to the cache all the while, with an encoder as quick as the tiny one."""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def measuring(tmp_path: Path, tiny_bundle: Path, said: list[str]) -> Measuring:
    labels = read_manifest(tiny_bundle).tasks["sentiment"].labels
    assert labels is not None
    contest = Contest(
        bundle=tiny_bundle,
        models=tmp_path / "models",
        folder=tmp_path / "peers",
        tasks={"sentiment": labels},
        texts=Rotation(TEXTS),
        threads=1,
        rounds=ROUNDS,
    )
    return Measuring(
        contest=contest,
        results=tmp_path / "results",
        circumstances=CALM,
        num_tokens=lambda texts: [len(text.split()) + 2 for text in texts],
        again=False,
        say=said.append,
    )


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_peer_is_measured_beside_us_and_what_is_missing_is_noted(
    measuring: Measuring, said: list[str]
) -> None:
    measuring.surveys([PEERS["litserve"], PEERS["bentoml"]])
    by_name = {each.peer: each for each in load_surveys(measuring.results)}
    assert "not installed" in (by_name["litserve"].fault or "")
    plain = by_name["bentoml"]
    assert plain.fault is None
    assert plain.worst_score < 1e-3
    assert plain.pss_mib > 10
    for ours, theirs in plain.rates.values():
        assert min(*ours, *theirs) > 0
    measuring.rows(["B8"])
    rows = load_rows(measuring.results)
    assert set(rows) == {"B4/1", "B4/16", "B4/64", "B8/1", "B8/16"}, said
    assert all(each.row.value > 0 for each in rows.values())


def test_b4_is_of_the_commit_and_hour_at_which_the_best_peer_was_measured(measuring: Measuring) -> None:
    best = replace(survey_of("litserve", ours=200, theirs=150), commit="0ldc0de", at="2026-01-02T03:04+00:00")
    for each in (best, survey_of("bentoml", ours=200, theirs=50)):
        save(each, measuring.results)
    measuring.surveys([])
    found = load_rows(measuring.results)["B4/64"].circumstances
    assert (found.commit, found.started) == ("0ldc0de", dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC))
