"""A study's report, from results alone: one self-contained HTML file, and Markdown with pictures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from training.checkpoint import write_text_atomically
from training.comparison.charts import cost_chart, differences_chart
from training.comparison.courses import cosines_chart, curves_chart, matrices_chart, weights_chart
from training.comparison.page import Picture, Section, html_page, markdown_page, picture_files
from training.comparison.results import RunResult
from training.comparison.study import Outline
from training.comparison.summary import Summary, summarise
from training.comparison.tables import markdown_of, transfer_table, variants_table
from training.errors import TrainingError

HTML_FILE, MARKDOWN_FILE, PICTURES_FOLDER = "report.html", "report.md", "pictures"


def write_report(outline: Outline, results: Mapping[str, RunResult], folder: Path) -> str:
    """Write the report of a study as far as it is there.

    Args:
        outline: Of the study.
        results: By the names of runs; those of other runs are left out.
        folder: Where to write.

    Returns:
        Its tables as Markdown.

    Raises:
        TrainingError: If the baseline has no result.
    """
    found = [
        result for result in results.values() if outline.covers(result.variant, result.task, result.seed)
    ]
    summary = summarise(found, baseline=outline.baseline)
    if summary is None:
        raise TrainingError(f"{outline.name}: no result of {outline.baseline}, the baseline, to report")
    sections = list(_sections(outline, found, summary))
    write_pages(outline.name, sections, folder)
    return markdown_of([transfer_table(summary), variants_table(summary)])


def write_pages(title: str, sections: Sequence[Section], folder: Path) -> None:
    """Write a report as HTML, and as Markdown with its pictures."""
    for name, svg in picture_files(sections).items():
        write_text_atomically(folder / PICTURES_FOLDER / name, svg)
    write_text_atomically(folder / MARKDOWN_FILE, markdown_page(title, sections, PICTURES_FOLDER))
    write_text_atomically(folder / HTML_FILE, html_page(title, sections))


def _sections(outline: Outline, results: Sequence[RunResult], summary: Summary) -> Iterator[Section]:
    transfer = transfer_table(summary)
    if transfer is not None:
        yield Section(title="Joint and alone", notes=[_circumstances(outline, results)], content=[transfer])
    if len(summary.rows) > 1:
        differences = Picture(
            name="differences",
            svg=differences_chart(summary),
            caption="Filled: clearly different. Bars: two standard errors, where seeds give a spread.",
        )
        yield Section(
            title="Variants", notes=[_how_to_read(summary)], content=[variants_table(summary), differences]
        )
    yield from _courses(results, summary)
    if len(summary.rows) > 1 and any(row.cpu_s for row in summary.rows):
        cost = Picture(
            name="cost", svg=cost_chart(summary), caption="Of training alone, evaluation left out."
        )
        yield Section(title="Time and memory", content=[cost])


def _courses(results: Sequence[RunResult], summary: Summary) -> Iterator[Section]:
    runs: dict[str, list[RunResult]] = {}
    for result in results:
        runs.setdefault(result.variant, []).append(result)
    if not all(run.history for run in runs[summary.baseline.name]):
        return
    curves = Picture(
        name="curves",
        svg=curves_chart(summary, runs),
        caption="The best variants in colour, the others grey."
        if len(summary.rows) > 1
        else "The joint run, and each task alone.",
    )
    yield Section(title="Learning curves", content=[curves])
    found = [
        ("matrices", matrices_chart(summary, runs), f"Of {summary.baseline.name}; below 0 tasks conflict."),
        (
            "cosines",
            cosines_chart(summary, runs),
            "The same for every variant, on the same examples each time.",
        ),
    ]
    conflict = [
        Picture(name=name, svg=svg, caption=caption) for name, svg, caption in found if svg is not None
    ]
    if conflict:
        yield Section(title="Conflict between the tasks' gradients", content=conflict)
    weights = weights_chart(summary, runs)
    if weights is not None and len(summary.tasks) > 1:
        caption = "How much of each task's gradient the steps had" + (
            "; of variants that differ from the baseline." if len(summary.rows) > 1 else "."
        )
        yield Section(
            title="Effective weights", content=[Picture(name="weights", svg=weights, caption=caption)]
        )


def _circumstances(outline: Outline, results: Sequence[RunResult]) -> str:
    commits = sorted({result.commit for result in results if result.commit is not None})
    runs = sum(len(seeds) for seeds in outline.seeds.values())
    done = sum(result.task is None for result in results)
    return (
        f"{done} of {runs} runs of variants are there, and {len(results) - done} of tasks alone, which had "
        f"as many batches as in {outline.baseline}. Code: {', '.join(commits) or 'commit unknown'}."
    )


def _how_to_read(summary: Summary) -> str:
    repeated = bool(summary.spreads)
    return "Primary metrics on dev, which chose nothing. " + (
        "± behind a mean is its standard deviation over seeds, behind a difference its standard error from "
        "the spread pooled over all repeated variants; bold from twice that on: one in twenty by chance."
        if repeated
        else "Nothing ran with several seeds yet: differences from 1.5 points on are bold, which is a guess."
    )
