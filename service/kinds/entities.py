"""Tags of words → spans, by the rules of CoNLL's and seqeval's scoring.

They read every scheme and forgive what is not quite in it: a span begins wherever a tag cannot continue the
one before, so an ``I-`` after ``O`` or after another label begins one, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

OUTSIDE = "O"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedSpan:
    """Neighbouring words of one label."""

    label: str
    first: int
    last: int
    """Places of its first and last word."""


def decode_tags(tags: Sequence[str]) -> list[TaggedSpan]:
    """Spans of a text.

    Args:
        tags: Of each word in turn: ``O``, or one of ``B-``, ``I-``, ``E-``, ``S-`` and a label.

    >>> decode_tags(["B-PER", "I-PER", "O", "S-LOC"])
    [TaggedSpan(label='PER', first=0, last=1), TaggedSpan(label='LOC', first=3, last=3)]
    """
    spans: list[TaggedSpan] = []
    previous = (OUTSIDE, "")
    first = 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        mark, _, label = tag.partition("-")
        continues = mark in ("I", "E") and previous[0] in ("B", "I") and label == previous[1]
        if not continues:
            if previous[0] != OUTSIDE:
                spans.append(TaggedSpan(label=previous[1], first=first, last=place - 1))
            first = place
        previous = mark, label
    return spans
