"""One picture: how fast each service is beside EncodeOnce, at low and high load, for one task and for six."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from loadtests.peers.rounds import CONCURRENCIES
from loadtests.peers.survey import Survey, best_of
from loadtests.results import Measured
from training.comparison.drawing import COLOURS, INK, as_file, grid_of, picture

OURS, THEIRS = COLOURS[2], COLOURS[0]
WIDTH, BAR_HEIGHT, FRAME_HEIGHT = 10.0, 0.26, 1.3
"""In inches."""
TITLES = {
    1: "one request at a time",
    16: "16 requests at a time",
    64: "64 requests at a time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One service in one panel. ``share`` is its rate ÷ that of EncodeOnce in fp32."""

    label: str
    share: float
    is_ours: bool


def draw_peers(surveys: Sequence[Survey], rows: Mapping[str, Measured]) -> str:
    """The picture as an SVG file, for light and dark pages.

    Args:
        surveys: At least one of a peer that was measured.
        rows: Of them, B5 adds our int8, and B7 the panel of six tasks.
    """
    panels = panels_of(surveys, rows)
    longest = max(map(len, panels.values()))

    def draw(figure: Figure) -> None:
        figure.suptitle(
            "Requests answered per second, as a multiple of EncodeOnce's (fp32) in the same minutes; "
            "longer is faster"
        )
        for axes, (title, bars) in zip(grid_of(figure, len(panels), columns=2), panels.items(), strict=True):
            _draw_panel(axes, title, bars, room=longest)
        names = {"this repository": OURS, "what a user would pick instead": THEIRS}
        figure.legend(
            [Patch(color=colour) for colour in names.values()],
            list(names),
            loc="outside lower center",
            ncols=2,
        )

    height = -(-len(panels) // 2) * (FRAME_HEIGHT + BAR_HEIGHT * longest)
    return as_file(picture(WIDTH, height, "peers", draw))


def panels_of(surveys: Sequence[Survey], rows: Mapping[str, Measured]) -> dict[str, list[Bar]]:
    """The bars of each panel, by its title; the longest first."""
    measured = [each for each in surveys if each.fault is None]
    panels = {}
    for level in CONCURRENCIES:
        bars = [
            Bar(label=each.title, share=1 / each.ratio(level).of_medians, is_ours=False) for each in measured
        ]
        bars.append(Bar(label="EncodeOnce, fp32", share=1.0, is_ours=True))
        if level == CONCURRENCIES[-1] and "B5" in rows:
            # Our int8 ÷ the best peer (B5) × that peer ÷ our fp32.
            best = best_of(measured, concurrency=level)
            share = rows["B5"].row.value / best.ratio(level).of_medians
            bars.append(Bar(label="EncodeOnce, int8", share=share, is_ours=True))
        panels[f"One task a text, {TITLES[level]}"] = _longest_first(bars)
    six = [
        Bar(label=label, share=1 / rows[name].row.value, is_ours=False)
        for name, label in (
            ("B7", "best peer, one model, six passes"),
            ("B7/models", "best peer, six models"),
        )
        if name in rows
    ]
    if six:
        six.append(Bar(label="EncodeOnce, fp32", share=1.0, is_ours=True))
        panels["Six tasks a text, 64 requests at a time"] = _longest_first(six)
    return panels


def _longest_first(bars: Sequence[Bar]) -> list[Bar]:
    return sorted(bars, key=lambda bar: -bar.share)


def _draw_panel(axes: Axes, title: str, bars: Sequence[Bar], *, room: int) -> None:
    """Bars from the top, each as thick as if there were ``room`` of them."""
    places = range(len(bars) - 1, -1, -1)
    colours = [OURS if bar.is_ours else THEIRS for bar in bars]
    axes.barh(list(places), [bar.share for bar in bars], height=0.72, color=colours)
    axes.set_yticks(list(places), [bar.label for bar in bars])
    axes.axvline(1.0, color=INK, linewidth=0.6, linestyle=":")
    for place, bar in zip(places, bars, strict=True):
        axes.text(bar.share, place, f"  {bar.share:.2f}", va="center", fontsize=8)
    axes.set_ylim(len(bars) - 0.4 - room, len(bars) - 0.4)
    axes.set_xlim(0, 1.15 * max(bar.share for bar in bars))
    axes.set_xlabel("rate ÷ EncodeOnce fp32")
    axes.set_title(title, loc="left")
