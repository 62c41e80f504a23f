from pathlib import Path

import pytest

from loadtests.errors import LoadTestError
from loadtests.peers.survey import best_of, load_surveys, save
from tests.loadtests.peers.samples import survey_of


def test_surveys_are_kept_as_they_are(tmp_path: Path) -> None:
    surveys = [survey_of("a", ours=200, theirs=100), survey_of("b", fault="it does not start\nat all")]
    for each in surveys:
        save(each, tmp_path / "results")
    assert load_surveys(tmp_path / "results") == surveys
    assert [file.name for file in (tmp_path / "results").iterdir() if file.name.startswith(".")] == []


def test_the_best_peer_is_the_one_nearest_to_us_at_that_concurrency() -> None:
    # b's rate was lower, but so was ours in the same minutes.
    a, b = survey_of("a", ours=300, theirs=150), survey_of("b", ours=100, theirs=80)
    assert best_of([a, b, survey_of("c", fault="refused")], concurrency=64) is b


def test_without_a_measured_peer_there_is_no_best_one() -> None:
    with pytest.raises(LoadTestError, match="No peer was measured"):
        best_of([survey_of("c", fault="refused")], concurrency=64)
