from xml.etree import ElementTree as ET

from loadtests.peers.picture import draw_peers, panels_of
from tests.loadtests.peers.samples import measured, survey_of

SURVEYS = [
    survey_of("a", ours=200, theirs=100),
    survey_of("b", ours=200, theirs=160),
    survey_of("c", fault="no"),
]


def test_the_longest_bar_comes_first_and_ours_is_the_measure() -> None:
    for bars in panels_of(SURVEYS, {}).values():
        assert [(bar.label, bar.share) for bar in bars] == [
            ("EncodeOnce, fp32", 1.0),
            ("Peer b", 0.8),
            ("Peer a", 0.5),
        ]


def test_our_int8_is_placed_by_the_peer_that_it_was_measured_against() -> None:
    panels = panels_of(SURVEYS, {"B5": measured("B5", 2.0)})
    *_, busiest = panels.values()
    assert busiest[0].label == "EncodeOnce, int8"
    assert busiest[0].share == 2.0 * 0.8


def test_six_tasks_get_a_panel_once_they_are_measured() -> None:
    panels = panels_of(SURVEYS, {"B7": measured("B7", 5.0), "B7/models": measured("B7/models", 8.0)})
    bars = panels["Six tasks a text, 64 requests at a time"]
    assert [bar.share for bar in bars] == [1.0, 0.2, 0.125]


def test_the_picture_is_a_file_whose_words_are_text() -> None:
    svg = draw_peers(SURVEYS, {"B5": measured("B5", 2.0)})
    root = ET.fromstring(svg)
    words = " ".join(root.itertext())
    for word in ("Peer a", "EncodeOnce, int8", "One task a text, one request at a time", "rate ÷ EncodeOnce"):
        assert word in words
    assert "prefers-color-scheme:dark" in svg
