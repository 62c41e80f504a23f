import re
from dataclasses import replace

from loadtests.peers.table import page, peers_table, targets_table
from loadtests.targets import PLANNED
from tests.loadtests.peers.samples import CALM, measured, survey_of


def line(table: str, start: str) -> str:
    (found,) = [each for each in table.splitlines() if each.startswith(f"| {start} |")]
    return found


def test_every_row_of_the_targets_is_there_measured_or_not() -> None:
    table = targets_table({"B5": measured("B5", 2.5), "B12": measured("B12", 0.4)})
    for name in PLANNED:
        assert str(PLANNED[name].target) in line(table, name)
    assert "**2.50** | 2.25 to 2.50 (2) | ≥ 2 | yes |" in line(table, "B5")
    assert "**0.40** | 0.36 to 0.40 (2) | ≤ 0.3 | **no** |" in line(table, "B12")
    assert "not measured yet" in line(table, "B11")


def test_a_figure_of_a_busy_machine_meets_nothing() -> None:
    busy = measured("B5", 2.5, circumstances=replace(CALM, load=7.0))
    assert "7.0 cores busy otherwise: not valid" in line(targets_table({"B5": busy}), "B5")


def test_peers_are_listed_by_speed_as_shares_of_ours() -> None:
    slow, quick = survey_of("slow", ours=200, theirs=50), survey_of("quick", ours=200, theirs=160, load=3.0)
    broken = survey_of("broken", fault="error: no | such option\ntraceback")
    lines = peers_table([slow, broken, quick], {"absent": "Peer absent"}).splitlines()[2:]
    order = [re.findall(r"Peer \w+", each)[0] for each in lines]
    assert order == ["Peer quick", "Peer slow", "Peer broken", "Peer absent"]
    assert "| 0.80 (0.80 to 0.80) |" in lines[0]
    assert lines[0].endswith("3.0 cores busy otherwise: not valid |")
    assert "not measured: error: no / such option |" in lines[2]
    assert lines[3].endswith("not measured yet |")
    assert len({each.count(" |") for each in lines}) == 1


def test_the_page_says_how_each_figure_came_about() -> None:
    later = replace(CALM, command="python -m loadtests.bench B1", commit="def5678")
    rows = {
        "B5": measured("B5", 2.5),
        "B7": measured("B7", 6.0),
        "B1": measured("B1", 0.95, circumstances=later),
    }
    text = page(rows, [survey_of("a")], peers={})
    assert "serving/peers.svg" in text
    assert "- B5, B7: AMD EPYC, 2 cores, 2 threads; commit abc1234" in text
    assert "- B1: AMD EPYC, 2 cores, 2 threads; commit def5678" in text


def test_without_peers_the_page_shows_no_picture() -> None:
    text = page({}, [survey_of("a", fault="no")], peers={})
    assert "svg" not in text
    assert text.count("not measured yet") == len(PLANNED)
