"""Which tags a scheme knows. ``training.metrics.span_metrics`` reads all of them by one rule, CoNLL's."""

from collections.abc import Iterable, Mapping

OUTSIDE = "O"
PREFIXES: Mapping[str, str] = {"bio": "BI", "iob1": "BI", "iobes": "BIES"}
"""Of the schemes that mark spans."""


def is_valid_tag(tag: str, scheme: str) -> bool:
    """Whether a scheme knows a tag: ``O``, or ``B-place``; without spans any text."""
    if scheme not in PREFIXES:
        return bool(tag)
    prefix, separator, label = tag.partition("-")
    return tag == OUTSIDE or (len(prefix) == 1 and prefix in PREFIXES[scheme] and bool(separator and label))


def tags_in_order(tags: Iterable[str]) -> tuple[str, ...]:
    """Distinct tags, sorted, ``O`` first."""
    return tuple(sorted(set(tags), key=lambda tag: (tag != OUTSIDE, tag)))
