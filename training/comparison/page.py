"""A report as one HTML file that needs nothing else."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.comparison.drawing import as_file
from training.comparison.tables import Table

CSS = """
:root { color-scheme: light dark; color: #222; background: #fff; }
@media (prefers-color-scheme: dark) { :root { color: #ddd; background: #16181c; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.77rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.4rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 1px solid; vertical-align: bottom; white-space: normal; }
tbody tr:nth-child(even) { background: color-mix(in srgb, currentColor 6%, transparent); }
.up { color: #1f8a63; } .down { color: #cf4a45; }
@media (prefers-color-scheme: dark) { .up { color: #4fce9f; } .down { color: #ff8a84; } }
figure { margin: 1.5rem 0; } figcaption, .note { font-size: 0.9rem; opacity: 0.85; max-width: 48rem; }
svg { height: auto; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture with what it shows.

    Attributes:
        name: Of its file, without the ending.
        caption: What to see in it.
        svg: An ``<svg>`` element.
    """

    name: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        notes: A paragraph each.
        content: Tables and pictures.
    """

    title: str
    content: Sequence[Table | Picture]
    notes: Sequence[str] = ()


def html_page(title: str, sections: Sequence[Section]) -> str:
    """The report as a page."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += [f'<p class="note">{html.escape(note)}</p>' for note in section.notes]
        body += [_table(each) if isinstance(each, Table) else _figure(each) for each in section.content]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>",
            *body,
            "</body>\n</html>\n",
        ]
    )


def markdown_page(title: str, sections: Sequence[Section], pictures: str) -> str:
    """The report as Markdown.

    Args:
        title: Its heading.
        sections: Its parts.
        pictures: Folder of the pictures' files, relative to the report.
    """
    blocks = [f"# {title}"]
    for section in sections:
        blocks += [f"## {section.title}", *section.notes]
        blocks += [
            each.markdown().rstrip()
            if isinstance(each, Table)
            else f"![{each.caption}]({pictures}/{each.name}.svg)\n\n{each.caption}"
            for each in section.content
        ]
    return "\n\n".join(blocks) + "\n"


def picture_files(sections: Sequence[Section]) -> dict[str, str]:
    """File name → SVG of every picture."""
    found = [each for section in sections for each in section.content if isinstance(each, Picture)]
    return {f"{each.name}.svg": as_file(each.svg) for each in found}


def _figure(picture: Picture) -> str:
    caption = html.escape(picture.caption)
    label = picture.svg.replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
    return f"<figure>{label}<figcaption>{caption}</figcaption></figure>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    rows = ("".join(f"<td>{_cell(cell)}</td>" for cell in row) for row in table.rows)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _cell(text: str) -> str:
    """``**+0.1**`` becomes bold, and green or red by its sign."""

    def bold(match: re.Match[str]) -> str:
        way = {"+": ' class="up"', "-": ' class="down"'}.get(match[1][0], "")
        return f"<strong{way}>{match[1]}</strong>"

    return re.sub(r"\*\*(.+?)\*\*", bold, html.escape(text))
