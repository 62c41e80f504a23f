"""Pictures as SVG that read on light and dark pages alike: text and axes take the page's own colour.

Text stays text, so that it can be found and read aloud.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#12345f"
"""Stands for the page's colour until the SVG is written."""
COLOURS = ("#2f8fd8", "#e0803a", "#2ca57a", "#d5568b", "#8f7ee6", "#b59a2a", "#4fb0b8", "#c95d4f")
"""Of lines, in order: bright enough on black, dark enough on white."""
GOOD, BAD = "#2ca57a", "#d9534f"
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.alpha": 0.2,
    "grid.color": INK,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
PIXELS_AN_INCH = 115
"""At most, where the page is wide."""
PAGE_COLOURS = "<style>:root{color:#222}@media(prefers-color-scheme:dark){:root{color:#ddd}}</style>"
"""Of an SVG in a file of its own, which has no page."""


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure in our style.

    Args:
        width: In inches; a page is 10 wide.
        height: Likewise.
    """
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def as_svg(figure: Figure, name: str) -> str:
    """The figure for a page: an ``<svg>`` element as wide as the page allows.

    Args:
        figure: Drawn within ``drawing``.
        name: Unique on the page; marks of two pictures with one name would be mixed up.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().replace(INK, "currentColor")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text)
    # matplotlib numbers its groups anew in every figure.
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    size = f'width="100%" style="max-width:{figure.get_figwidth() * PIXELS_AN_INCH:.0f}px"'
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', size, text, count=1)


def as_file(svg: str) -> str:
    """The same picture as a file of its own."""
    return svg.replace(">", f">{PAGE_COLOURS}", 1)


def grid_of(figure: Figure, count: int, *, columns: int, share_y: bool = False) -> list[Axes]:
    """Axes side by side in rows; only as many as asked for."""
    columns = min(columns, count)
    rows = -(-count // columns)
    axes: Sequence[Axes] = figure.subplots(rows, columns, squeeze=False, sharey=share_y).flatten().tolist()
    for unused in axes[count:]:
        unused.set_visible(False)
    return list(axes[:count])


def picture(width: float, height: float, name: str, draw: Callable[[Figure], None]) -> str:
    """Draw a figure and write it as SVG."""
    with drawing(width, height) as figure:
        draw(figure)
        return as_svg(figure, name)
