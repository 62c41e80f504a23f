import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kinds.entities import decode_tags

LABELS = ["PER", "LOC"]
SPANS = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(1, 3), st.integers(0, 2)), max_size=6)


def found(tags: list[str]) -> list[tuple[str, int, int]]:
    return [(span.label, span.first, span.last) for span in decode_tags(tags)]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ([], []),
        (["O", "O"], []),
        (["B-PER", "I-PER", "O", "B-LOC"], [("PER", 0, 1), ("LOC", 3, 3)]),
        (["B-PER", "B-PER"], [("PER", 0, 0), ("PER", 1, 1)]),
        (["I-PER", "I-PER", "I-LOC"], [("PER", 0, 1), ("LOC", 2, 2)]),
        (["I-PER", "B-PER", "I-PER"], [("PER", 0, 0), ("PER", 1, 2)]),
        (["S-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC"], [("PER", 0, 0), ("PER", 1, 1), ("LOC", 2, 4)]),
        (["E-PER", "I-PER", "B-PER", "I-LOC"], [("PER", 0, 0), ("PER", 1, 1), ("PER", 2, 2), ("LOC", 3, 3)]),
        (["B-a-b", "I-a-b"], [("a-b", 0, 1)]),
    ],
)  # fmt: skip
def test_spans_follow_the_rules_of_conll(tags: list[str], spans: list[tuple[str, int, int]]) -> None:
    assert found(tags) == spans


def test_spans_are_those_of_seqeval() -> None:
    entities = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    marks = ["O", *(f"{mark}-{label}" for mark in "BIES" for label in LABELS)]

    @given(st.lists(st.sampled_from(marks), max_size=8))
    def check(tags: list[str]) -> None:
        assert found(tags) == entities(tags)

    check()


@pytest.mark.parametrize("scheme", ["bio", "iob1", "iobes"])
@given(spans=SPANS)
def test_every_scheme_is_read_back(scheme: str, spans: list[tuple[str, int, int]]) -> None:
    tags: list[str] = []
    expected: list[tuple[str, int, int]] = []
    for label, length, gap in spans:
        tags += ["O"] * gap
        first = len(tags)
        touches = bool(expected) and expected[-1][0] == label and expected[-1][2] == first - 1
        tags += [f"{mark}-{label}" for mark in marks_of(scheme, length, touches=touches)]
        expected.append((label, first, len(tags) - 1))
    assert found(tags) == expected


def marks_of(scheme: str, length: int, *, touches: bool) -> str:
    if scheme == "iobes":
        return "S" if length == 1 else "B" + "I" * (length - 2) + "E"
    return ("B" if scheme == "bio" or touches else "I") + "I" * (length - 1)
