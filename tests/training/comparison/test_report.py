import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.training.comparison.runs import course, result
from training.comparison.charts import axis_limit
from training.comparison.drawing import INK
from training.comparison.page import Section, html_page
from training.comparison.report import write_report
from training.comparison.results import RunResult
from training.comparison.study import Outline
from training.comparison.tables import Table

EQUAL, SKEWED = {"mood": 1.0, "same": 1.0}, {"mood": 1.0, "same": 0.2}
RUNS = [
    result("plain", 0, history=course(0.2, 0.5, weights=EQUAL), mood=0.40, same=0.8),
    result("plain", 1, history=course(0.2, 0.5, weights=EQUAL), mood=0.41, same=0.8),
    result("surgery", history=course(0.3, 0.6, weights=SKEWED), mood=0.6, same=0.7),
    result("alone.mood", task="mood", history=course(0.4, 0.5, weights={"mood": 1.0}), mood=0.5),
    result("alone.same", task="same", history=course(0.7, 0.8, weights={"same": 1.0}), same=0.8),
]  # fmt: skip
OUTLINE = Outline(
    name="methods", baseline="plain", seeds={"plain": (0, 1), "surgery": (0,)}, single_task=True
)


def written(folder: Path, runs: list[RunResult] = RUNS) -> tuple[str, str]:
    write_report(OUTLINE, {run.name: run for run in runs}, folder)
    return (folder / "report.html").read_text(), (folder / "report.md").read_text()


class References(HTMLParser):
    """What a page would fetch, and the ids it has."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            is_fetched = name in ("src", "href", "xlink:href") and not str(value).startswith(("#", "data:"))
            if is_fetched or tag in ("link", "script", "iframe"):
                self.fetched.append(f"{tag} {name}={value}")


def test_the_page_needs_nothing_else_and_its_pictures_do_not_mix(tmp_path: Path) -> None:
    html, _ = written(tmp_path)
    page = References()
    page.feed(html)
    assert page.fetched == []
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(page.ids)
    assert html.count("<svg") == 6


def test_every_picture_is_well_formed_and_takes_the_pages_colour(tmp_path: Path) -> None:
    html, markdown = written(tmp_path)
    named = re.findall(r"\]\((pictures/\w+\.svg)\)", markdown)
    assert sorted(named) == sorted(str(file.relative_to(tmp_path)) for file in tmp_path.glob("pictures/*"))
    assert len(named) == 6
    for name in named:
        svg = (tmp_path / name).read_text()
        ET.fromstring(svg)
        assert "prefers-color-scheme" in svg
        assert "currentColor" in svg
    assert INK not in html


def test_axes_say_what_they_show(tmp_path: Path) -> None:
    html, _ = written(tmp_path)
    for label in (
        "mood: accuracy",
        "share of the run's steps (%)",
        "cosine of the gradients",
        "points",
        "share of the effective weight",
        "peak memory (MiB)",
        "processor seconds of a run's steps",
    ):
        assert f">{label}</text>" in html, label


def test_a_variant_that_failed_is_drawn_at_the_edge_with_its_number(tmp_path: Path) -> None:
    others = [result(f"variant_{number}", mood=0.40 + number / 200, same=0.8) for number in range(8)]
    failed = result("failed", mood=0.0, same=0.8)
    runs = [*RUNS, *others, failed]
    outline = Outline(
        name="methods",
        baseline="plain",
        seeds={"plain": (0, 1), **{run.variant: (0,) for run in runs if run.variant != "plain"}},
        single_task=True,
    )
    write_report(outline, {run.name: run for run in runs}, tmp_path)
    drawn = (tmp_path / "pictures" / "differences.svg").read_text()
    assert re.search(r">.4[01]<", drawn)


@pytest.mark.parametrize(
    ("sizes", "limit"),
    [([], 1.1), ([0.0, 0.0], 1.1), ([1.0, 2.0, 3.0], 3.3), ([1.0, 1.0, 1.0, 1.0, 80.0], 4.4)],
)
def test_an_axis_reaches_to_the_largest_difference_unless_it_is_far_out(
    sizes: list[float], limit: float
) -> None:
    assert axis_limit(sizes) == pytest.approx(limit)


def test_a_report_of_runs_without_a_history_has_their_tables(tmp_path: Path) -> None:
    runs = [result("plain", mood=0.4, same=0.8), result("alone.mood", task="mood", mood=0.5)]
    html, markdown = written(tmp_path, runs)
    assert "<svg" not in html
    assert "| mood | accuracy | 5 | 0.4000 | 0.5000 | **-0.1000** | negative |" in markdown


def test_results_of_other_runs_are_left_out(tmp_path: Path) -> None:
    _, markdown = written(
        tmp_path, [*RUNS, result("dropped", mood=0.9, same=0.9), result("surgery", 7, mood=0.0, same=0.0)]
    )
    assert "dropped" not in markdown
    assert "| surgery | 1 | 0.6000 |" in markdown


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("**+0.1** ± 0.2", '<strong class="up">+0.1</strong> ± 0.2'),
        ("**-0.1**", '<strong class="down">-0.1</strong>'),
        ("<script>", "&lt;script&gt;"),
    ],
)
def test_cells_are_escaped_and_clear_differences_coloured(cell: str, expected: str) -> None:
    page = html_page("t", [Section(title="s", content=[Table(header=("a",), rows=((cell,),))])])
    assert f"<td>{expected}</td>" in page
