"""A study's figures as tables: rows of cells, and these as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.comparison.summary import MEAN, Difference, Row, Summary

NONE = "-"
TRAINED = "trained"
"""Column that is left out where no result says how many parameters were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as text; ``**`` around a figure marks a clear difference.

    Attributes:
        header: A cell for each column.
        rows: Of as many cells.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def without(self, column: str) -> "Table":
        """The same but for a column."""
        place = self.header.index(column)

        def cut(cells: tuple[str, ...]) -> tuple[str, ...]:
            return cells[:place] + cells[place + 1 :]

        return Table(header=cut(self.header), rows=tuple(map(cut, self.rows)))

    def markdown(self) -> str:
        """As a Markdown table."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def transfer_table(summary: Summary) -> Table | None:
    """Each task in the baseline beside its own run; None without these."""
    alone, joint = summary.alone, summary.baseline
    if alone is None:
        return None
    rows = []
    for task, metric in summary.metrics.items():
        gain = summary.difference(joint, alone, task)
        if gain is not None:
            rows.append(
                (
                    task, metric, f"{joint.batches[task]:.0f}", _figure(joint, task), _figure(alone, task),
                    _signed(gain), gain.verdict,
                )
            )  # fmt: skip
    header = ("task", "metric", "batches", joint.name, "alone", "gain", "transfer")
    return Table(header=header, rows=tuple(rows))


def variants_table(summary: Summary) -> Table:
    """All variants, the best mean first, and the tasks' own runs."""
    rows = [*summary.rows, *([summary.alone] if summary.alone is not None else [])]
    header = (
        "variant",
        "seeds",
        *(f"{task} {metric}" for task, metric in summary.metrics.items()),
        "mean",
        f"vs {summary.baseline.name}",
        "vs alone",
        "negative transfer",
        TRAINED,
        "CPU s",
        "MiB",
    )
    table = Table(header=header, rows=tuple(_variant(summary, row) for row in rows))
    return table if any(row.parameters for row in rows) else table.without(TRAINED)


def _variant(summary: Summary, row: Row) -> tuple[str, ...]:
    is_alone = row is summary.alone
    negative = [] if is_alone else summary.negative_transfer(row)
    return (
        row.name,
        str(len(row.seeds)),
        *(_figure(row, task) for task in summary.tasks),
        _figure(row, MEAN),
        NONE if row is summary.baseline else _signed(summary.difference(row, summary.baseline, MEAN)),
        NONE if is_alone else _signed(summary.difference(row, summary.alone, MEAN)),
        ", ".join(negative) or NONE,
        NONE if row.parameters is None else f"{row.parameters / 1e6:.2f} M",
        f"{row.cpu_s:.0f}" if row.cpu_s else NONE,
        f"{row.peak_mib:.0f}" if row.peak_mib else NONE,
    )


def _figure(row: Row, key: str) -> str:
    mean, spread = row.mean(key), row.spread(key)
    if mean is None:
        return NONE
    return f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}"


def _signed(difference: Difference | None) -> str:
    if difference is None:
        return NONE
    mark = "**" if difference.is_clear else ""
    error = "" if difference.error is None else f" ± {difference.error:.4f}"
    return f"{mark}{difference.value:+.4f}{mark}{error}"


def markdown_of(tables: Sequence[Table | None]) -> str:
    """Tables below each other."""
    return "\n".join(table.markdown() for table in tables if table is not None)
