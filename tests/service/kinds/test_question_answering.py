import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.manifest import SpanSearch
from service.inputs import QuestionInput
from service.kinds.base import AnswerOptions
from service.kinds.question_answering import MAX_SPANS, best_spans
from service.kinds.registry import kind_of
from service.tokenization import ContextWindows, FastTokenizer, TokenizedInput
from tests.support.service_fakes import FakeTokenizer, task
from tests.support.service_readings import readings_of
from tests.support.tokenizer_families import FAMILIES

LOW = -9.0


def windows_of(
    question: str, context: str, *, stride: int = 2, tokenizer: Any = None
) -> Sequence[TokenizedInput]:
    """Windows of at most 12 tokens."""
    tokenizer = tokenizer or FakeTokenizer(12)
    (windows,) = asyncio.run(tokenizer.tokenize([ContextWindows(question, context, stride)]))
    return windows


def logits_where(
    context: str, windows: Sequence[TokenizedInput], starts: dict[str, float], ends: dict[str, float]
) -> np.ndarray:
    """Logits of the windows' tokens by their words; the first token is called ``NULL``."""
    rows = []
    for window in windows:
        assert window.offsets is not None
        for place, (span, side) in enumerate(zip(window.offsets.spans, window.offsets.sides, strict=True)):
            word = context[slice(*span)] if side == 1 else "NULL" if place == 0 else "QUESTION"
            rows.append((starts.get(word, LOW), ends.get(word, LOW)))
    return np.array(rows, dtype=np.float32)


def ask(
    context: str,
    starts: dict[str, float],
    ends: dict[str, float],
    *,
    threshold: float | None = None,
    max_tokens: int = 3,
    temperature: float = 1.0,
    **options: Any,
) -> Mapping[str, Any]:
    search = SpanSearch(stride=2, max_answer_tokens=max_tokens, no_answer_threshold=threshold)
    kind = kind_of(task("question_answering", spans=search, temperature=temperature))
    windows = windows_of("what is it", context)
    reading = readings_of(
        (QuestionInput(question="what is it", context=context), logits_where(context, windows, starts, ends)),
        tokens=[windows],
    )
    (answer,) = kind.decoder.answers(reading, AnswerOptions(**options))
    return answer


def test_the_answer_is_what_the_context_has_at_its_offsets() -> None:
    context = "the  red   lamp is late"
    answer = ask(context, {"red": 5.0}, {"lamp": 5.0})
    assert answer["answer"] == "red   lamp" == context[answer["start"] : answer["end"]]
    assert 0.9 < answer["score"] <= 1.0


def test_a_span_ends_at_or_after_its_start_and_is_no_longer_than_allowed() -> None:
    assert ask("a b c d", {"c": 5.0, "a": 4.0}, {"a": 9.0, "c": 1.0})["answer"] == "a"
    assert ask("a b c d", {"a": 5.0, "c": 2.0}, {"d": 5.0, "b": 1.0}, max_tokens=2)["answer"] == "c d"


def test_question_and_special_tokens_are_never_an_answer() -> None:
    answer = ask(
        "a b", {"QUESTION": 20.0, "NULL": 30.0, "a": 1.0}, {"QUESTION": 20.0, "NULL": 30.0, "b": 1.0}
    )
    assert answer["answer"] == "a b"


def test_the_best_span_of_all_windows_wins() -> None:
    context = " ".join(f"w{n}" for n in range(30))
    assert len(windows_of("what is it", context)) > 3
    assert ask(context, {"w27": 5.0, "w1": 4.0}, {"w28": 5.0, "w1": 4.0})["answer"] == "w27 w28"


def test_a_span_that_several_windows_share_counts_once() -> None:
    context = " ".join(f"w{n}" for n in range(12))
    answer = ask(context, {"w4": 5.0, "w5": 3.0}, {"w5": 5.0}, top_k=3)
    assert [each["answer"] for each in answer["answers"]][:2] == ["w4 w5", "w5"]
    spans = [(each["start"], each["end"]) for each in answer["answers"]]
    assert len(set(spans)) == len(spans) == 3


def test_an_answer_tells_a_bounded_number_of_spans_however_many_are_asked_for() -> None:
    context = " ".join(f"w{n}" for n in range(100))
    spans = (
        len(ask(context, {}, {}, top_k=MAX_SPANS)["answers"]),
        len(ask(context, {}, {}, top_k=10**9)["answers"]),
    )
    assert spans == (MAX_SPANS, MAX_SPANS)


def test_top_k_spans_come_best_first_and_the_first_is_the_answer() -> None:
    answer = ask("a b c", {"a": 5.0, "b": 3.0, "c": 1.0}, {"b": 5.0, "c": 4.0}, top_k=4, return_logits=True)
    sums = [sum(each["logits"]) for each in answer["answers"]]
    assert sums == sorted(sums, reverse=True)
    assert {**answer["answers"][0], "answers": answer["answers"]} == answer
    assert len(ask("a", {}, {}, top_k=9)["answers"]) == 1


@pytest.mark.parametrize(
    ("threshold", "answer"), [(None, "a"), (-1.0, "a"), (0.0, "a"), (2.0, ""), (3.0, "")]
)
def test_no_answer_is_given_unless_the_best_span_exceeds_the_threshold(
    threshold: float | None, answer: str
) -> None:
    # The span's logits sum to 6, those of no answer to 4.
    found = ask("a b", {"a": 3.0, "NULL": 2.0}, {"a": 3.0, "NULL": 2.0}, threshold=threshold)
    assert found["answer"] == answer
    assert (found["start"] is None) == (found["end"] is None) == (answer == "")
    assert 0.5 <= found["score"] <= 1.0


def test_one_window_that_is_sure_of_an_answer_outweighs_all_that_have_none() -> None:
    search = SpanSearch(stride=2, max_answer_tokens=3, no_answer_threshold=0.0)
    kind = kind_of(task("question_answering", spans=search))
    context = " ".join(f"w{n}" for n in range(12))
    windows = windows_of("what is it", context)
    logits = logits_where(context, windows, {"w11": 3.0, "NULL": 9.0}, {"w11": 3.0, "NULL": 9.0})
    logits[sum(window.num_tokens for window in windows[:-1])] = LOW  # the last window's first token
    reading = readings_of((QuestionInput(question="what is it", context=context), logits), tokens=[windows])
    (answer,) = kind.decoder.answers(reading, AnswerOptions())
    assert answer["answer"] == "w11"  # type: ignore[typeddict-item]


def test_a_window_that_is_loud_as_a_whole_outweighs_no_other() -> None:
    context = " ".join(f"w{n}" for n in range(12))
    windows = windows_of("what is it", context)
    logits = logits_where(context, windows, {"w11": 3.0}, {"w11": 3.0})
    expected = best_spans(context, windows, logits, count=1, max_tokens=3)
    logits[: windows[0].num_tokens] += 50.0
    assert best_spans(context, windows, logits, count=1, max_tokens=3) == expected


def test_no_answer_can_still_be_asked_for_its_best_spans() -> None:
    found = ask("a b", {"a": 1.0}, {"a": 1.0, "NULL": 0.0}, threshold=99.0, top_k=1)
    assert found["answer"] == ""
    assert [each["answer"] for each in found["answers"]] == ["a"]


def test_a_temperature_changes_the_scores_but_not_the_answer() -> None:
    sharp, flat = (ask("a b", {"a": 1.0}, {"b": 1.0}, temperature=t) for t in (1.0, 9.0))
    assert sharp["answer"] == flat["answer"] == "a b"
    assert sharp["score"] > flat["score"]


@given(st.integers(1, 25), st.integers(1, 6), st.integers(1, 4), st.integers(0, 999))
def test_spans_are_those_of_an_exhaustive_search(
    num_words: int, max_tokens: int, count: int, seed: int
) -> None:
    context = " ".join(f"w{n}" for n in range(num_words))
    windows = windows_of("what is it", context)
    logits = (
        np.random.default_rng(seed).normal(size=(sum(w.num_tokens for w in windows), 2)).astype(np.float32)
    )
    expected: dict[tuple[int, int], float] = {}
    row = 0
    for window in windows:
        assert window.offsets is not None
        places = [place for place, side in enumerate(window.offsets.sides) if side == 1]
        for first in places:
            for last in places:
                if first <= last < first + max_tokens:
                    span = window.offsets.spans[first][0], window.offsets.spans[last][1]
                    total = float(logits[row + first, 0]) + float(logits[row + last, 1]) - logits[row].sum()
                    expected[span] = max(total, expected.get(span, -np.inf))
        row += window.num_tokens
    found = best_spans(context, windows, logits, count=count, max_tokens=max_tokens)
    best = sorted(expected.values(), reverse=True)[:count]
    assert [each.margin for each in found] == pytest.approx(best, abs=1e-5)
    assert all(expected[each.start, each.end] == pytest.approx(each.margin, abs=1e-5) for each in found)


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> FastTokenizer:
    return FastTokenizer(FAMILIES[request.param](), max_length=32)


@given(context=st.text(st.characters(exclude_categories=["Cs"]), max_size=80), seed=st.integers(0, 99))
def test_any_answer_is_exactly_what_the_context_has_at_its_offsets(
    tokenizer: FastTokenizer, context: str, seed: int
) -> None:
    windows = windows_of("is it", context, stride=4, tokenizer=tokenizer)
    num_tokens = sum(window.num_tokens for window in windows)
    logits = np.random.default_rng(seed).normal(size=(num_tokens, 2)).astype(np.float32)
    kind = kind_of(task("question_answering", spans=SpanSearch(stride=4, max_answer_tokens=9)))
    reading = readings_of((QuestionInput(question="is it", context=context), logits), tokens=[windows])
    (answer,) = kind.decoder.answers(reading, AnswerOptions(top_k=5))
    spans: Any = answer
    for span in spans["answers"]:
        assert context[span["start"] : span["end"]] == span["answer"] == span["answer"].strip() != ""
    if not spans["answers"]:  # nothing but white space, or what the tokenizer drops
        assert spans["answer"] == ""
        assert spans["start"] is None
