import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch.nn import functional

from tests.support.families import byte_level_bpe, multilingual_unigram, word_piece
from tests.support.tiny import WORDS
from tests.training.kinds.support import examples_of, tokenizer_of
from training.batches import collate
from training.errors import DataError
from training.examples import EncodedExamples
from training.kinds.base import Calibration, RowError
from training.kinds.question_answering import GoldAnswer, QuestionAnswering
from training.kinds.span_search import NO_SPAN, find_best_span
from training.kinds.windows import OUTSIDE, WindowEncoder
from training.tokenization import build_tokenizer

KIND = QuestionAnswering(stride=4)
QUESTION = "where is it"
TOKENIZERS: list[Callable[[], Tokenizer]] = [word_piece, byte_level_bpe, multilingual_unigram]
words_of_a_context = st.lists(st.sampled_from([*WORDS, "zebra42", "é́", "!"]), min_size=1, max_size=40)


def example_of(context: str, *answers: str) -> tuple[dict[str, Any], tuple[GoldAnswer, ...]]:
    golds = tuple(GoldAnswer(text=answer, start=context.index(answer)) for answer in answers)
    return {"question": QUESTION, "context": context}, golds


def encoded(tokenizer: Tokenizer, *examples: tuple[dict[str, Any], Any]) -> EncodedExamples:
    return KIND.encode(examples_of(examples), tokenizer)


def pointing_at(
    examples: EncodedExamples, answers: list[str | None], *, logit: float = 5.0
) -> list[np.ndarray]:
    """Logits that hold each answer best, or no answer."""
    found = []
    for passage, answer in zip(examples.references, answers, strict=True):
        windows = []
        for window in passage.windows:
            logits = np.zeros((len(window.offsets), 2), dtype=np.float32)
            start = -1 if answer is None else passage.context.index(answer)
            place = None if answer is None else window.tokens_of(start, start + len(answer))
            first, last = place or (0, 0)
            logits[first, 0] += logit
            logits[last, 1] += logit
            windows.append(logits)
        found.append(np.concatenate(windows))
    return found


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(words=words_of_a_context)
def test_windows_cover_the_context_share_their_stride_and_repeat_the_question(
    tokenizer: Callable[[], Tokenizer], words: list[str]
) -> None:
    context = " ".join(words)
    whole = build_tokenizer(tokenizer().to_str(), 40)
    windows = WindowEncoder(whole, stride=4).encode("it", context)
    inside = [window.offsets[window.offsets[:, 0] != OUTSIDE] for window in windows]
    assert all(len(window.sequence.input_ids) <= 40 for window in windows)
    for before, after in itertools.pairwise(inside):
        shared = set(map(tuple, before.tolist())) & set(map(tuple, after.tolist()))
        assert 1 <= len(shared) <= 4, "byte-level BPE also counts tokens of nothing but a space"
    covered = {place for part in inside for start, end in part for place in range(start, end)}
    dropped = {place for place, character in enumerate(context) if character.isspace() or character == "́"}
    assert covered | dropped == set(range(len(context)))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(words=words_of_a_context, data=st.data())
def test_an_answers_tokens_are_its_characters(
    tokenizer: Callable[[], Tokenizer], words: list[str], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 2, len(words) - 1)))
    context, answer = " ".join(words), " ".join(words[first : last + 1])
    start = len(" ".join([*words[:first], ""]))
    windows = WindowEncoder(build_tokenizer(tokenizer().to_str(), 60), stride=20).encode("it", context)
    places = [
        (window, place) for window in windows if (place := window.tokens_of(start, start + len(answer)))
    ]
    for window, (one, other) in places:
        text = context[window.offsets[one, 0] : window.offsets[other, 1]]
        assert text.strip(" ́") == answer.strip(" ́")


def test_a_window_without_the_whole_answer_learns_that_there_is_none(tiny_encoder: Path) -> None:
    context = " ".join(["lamp"] * 30 + ["blue", "shoe"])
    examples = encoded(tokenizer_of(tiny_encoder), example_of(context, "blue shoe"))
    (targets,) = examples.targets
    assert len(targets) == len(examples.sequences[0]) > 1
    assert (targets[0] == 0).all()
    first, last = targets[-1]
    window = examples.references[0].windows[-1]
    assert context[window.offsets[first, 0] : window.offsets[last, 1]] == "blue shoe"


def test_training_counts_windows_and_evaluation_questions(tiny_encoder: Path) -> None:
    example = example_of(" ".join(["lamp"] * 40), "lamp")
    tokenizer = tokenizer_of(tiny_encoder)
    whole = encoded(tokenizer, example, example)
    learnt = KIND.encode_for_training(examples_of([example, example]), tokenizer)
    assert len(whole) == 2
    assert len(learnt) == sum(map(len, whole.sequences)) > 2
    assert all(len(each) == 1 for each in learnt.sequences)
    assert np.concatenate(learnt.targets).tolist() == np.concatenate(whole.targets).tolist()


def test_distractors_are_other_contexts_each_once_and_drawn_by_the_runs_seed(tiny_encoder: Path) -> None:
    contexts = [f"the {word} is here" for word in WORDS[:12]]
    examples, tokenizer = (
        examples_of([example_of(context, "is") for context in contexts]),
        tokenizer_of(tiny_encoder),
    )

    def beside(seed: int, distractors: int = 4) -> list[list[str]]:
        kind = QuestionAnswering(stride=4, distractors=distractors, seed=seed)
        learnt = [passage.context for passage in kind.encode_for_training(examples, tokenizer).references]
        added = learnt[len(contexts) :]
        return [added[start : start + distractors] for start in range(0, len(added), distractors)]

    found = beside(0)
    assert len(found) == len(contexts)
    for own, others in zip(contexts, found, strict=True):
        assert len({own, *others}) == 5
    assert beside(0) == found != beside(1)
    assert {len(set(others)) for others in beside(0, distractors=11)} == {11}


def test_the_loss_is_the_mean_over_start_and_end_and_knows_no_padding(tiny_encoder: Path) -> None:
    learnt = KIND.encode_for_training(
        examples_of([example_of("lamp blue", "blue"), example_of("my lamp is very big and red")]),
        tokenizer_of(tiny_encoder),
    )
    batch = collate(learnt, [0, 1], pad_token_id=0)
    logits = torch.randn(2, batch.inputs.input_ids.shape[1], 2)
    lengths = batch.inputs.attention_mask.sum(dim=1)
    parts = [
        functional.cross_entropy(logits[row, : lengths[row], column][None], batch.targets[row, column][None])
        for row in (0, 1)
        for column in (0, 1)
    ]
    torch.testing.assert_close(KIND.loss(logits, batch), torch.stack(parts).mean())


def test_the_best_span_is_found_in_whichever_window_it_lies(tiny_encoder: Path) -> None:
    contexts = [" ".join(["lamp"] * count + ["blue", "shoe"] + ["order"] * 20) for count in (0, 7, 13, 40)]
    tokenizer = tokenizer_of(tiny_encoder)
    examples = encoded(tokenizer, *(example_of(context, "blue shoe") for context in contexts))
    found = KIND.measure(pointing_at(examples, ["blue shoe"] * 4), examples)
    assert found == {"f1": 1, "exact_match": 1}
    half = KIND.measure(pointing_at(examples, ["blue"] * 4), examples)
    assert half == pytest.approx({"f1": 2 / 3, "exact_match": 0})


@given(seed=st.integers(0, 200), most=st.integers(1, 6))
def test_no_span_has_a_larger_margin_than_the_one_found(tiny_encoder: Path, seed: int, most: int) -> None:
    generator = np.random.default_rng(seed)
    context = " ".join(generator.choice(WORDS, size=25))
    windows = WindowEncoder(tokenizer_of(tiny_encoder), stride=4).encode(QUESTION, context)
    logits = [generator.normal(size=(len(window.offsets), 2)).astype(np.float32) for window in windows]
    relative = [each - each[0] for each in logits]
    found = find_best_span(relative, windows, max_answer_tokens=most)
    margins = {}
    for own, window in zip(relative, windows, strict=True):
        inside = np.flatnonzero(window.offsets[:, 0] != OUTSIDE)
        for first in inside:
            for last in inside[(inside >= first) & (inside < first + most)]:
                place = (int(window.offsets[first, 0]), int(window.offsets[last, 1]))
                margins[place] = max(margins.get(place, -np.inf), float(own[first, 0]) + float(own[last, 1]))
    assert found.margin == pytest.approx(max(margins.values()))
    assert margins[found.start, found.end] == pytest.approx(found.margin)
    assert 0 < found.probability < 1
    shifted = [
        each + shift - (each[0] + shift) for each, shift in zip(logits, range(len(logits)), strict=True)
    ]
    again = find_best_span(shifted, windows, max_answer_tokens=most)
    assert (again.start, again.end) == (found.start, found.end), "each window has a zero of its own"


def test_a_context_without_a_token_has_no_span(tiny_encoder: Path) -> None:
    examples = encoded(tokenizer_of(tiny_encoder), ({"question": QUESTION, "context": "\u200b"}, ()))
    logits = pointing_at(examples, [None])
    (span,) = KIND._spans(logits, examples)
    assert (span.start, span.end, span.margin) == (0, 0, NO_SPAN)
    assert KIND.measure(logits, examples) == {"f1": 1, "exact_match": 1}


def test_without_a_threshold_unanswerable_questions_are_told_by_the_sign_of_the_margin(
    tiny_encoder: Path,
) -> None:
    context = "my lamp is very big"
    examples = encoded(tokenizer_of(tiny_encoder), example_of(context, "lamp"), example_of(context))
    assert KIND.measure(pointing_at(examples, ["lamp", None]), examples)["f1"] == 1
    assert KIND.measure(pointing_at(examples, ["lamp", "big"]), examples)["f1"] == 0.5


def test_the_no_answer_threshold_is_tuned_only_where_some_questions_have_no_answer(
    tiny_encoder: Path,
) -> None:
    context = "my lamp is very big"
    tokenizer = tokenizer_of(tiny_encoder)
    answerable = encoded(tokenizer, example_of(context, "lamp"))
    assert KIND.calibrate(pointing_at(answerable, ["lamp"]), answerable).no_answer_threshold is None
    both = encoded(tokenizer, example_of(context, "lamp"), example_of(context))
    logits = [pointing_at(both, ["lamp", "big"])[0], pointing_at(both, ["lamp", "big"], logit=2.0)[1]]
    calibration = KIND.calibrate(logits, both)
    assert calibration.no_answer_threshold == pytest.approx((10 + 4) / 2)
    assert KIND.measure(logits, both)["f1"] == 0.5
    assert KIND.measure(logits, both, calibration)["f1"] == 1
    assert KIND.measure(logits, both, Calibration(no_answer_threshold=99))["f1"] == 0.5


def test_forecasts_are_of_the_answerable_questions_best_spans(tiny_encoder: Path) -> None:
    context = "my lamp is very big"
    examples = encoded(tokenizer_of(tiny_encoder), example_of(context, "lamp"), example_of(context))
    forecasts = KIND.forecasts(pointing_at(examples, ["lamp", None]), examples, Calibration())
    assert forecasts.outcomes.tolist() == [1]
    expected = (np.exp(5) / (np.exp(5) + 4)) ** 2
    assert forecasts.probabilities.tolist() == pytest.approx([expected])
    alone = examples.take([1])
    assert len(KIND.forecasts(pointing_at(alone, [None]), alone, Calibration()).outcomes) == 0


def test_a_question_that_leaves_no_room_for_its_context_is_named_by_its_row(tiny_encoder: Path) -> None:
    long = {"question": "lamp " * 10, "context": "the lamp"}
    with pytest.raises(DataError) as caught:
        encoded(tokenizer_of(tiny_encoder), example_of("the lamp", "lamp"), (long, ()))
    assert str(caught.value) == (
        "rows.jsonl, row 2: the question has 10 tokens or more; at most 9 leave room for the context "
        "(max_length 24, stride 4)"
    )


def test_a_million_characters_are_windows_and_a_nul_is_a_character(tiny_encoder: Path) -> None:
    context = "lamp " * 200_000 + "blue"
    tokenizer = tokenizer_of(tiny_encoder)
    examples = encoded(tokenizer, example_of(context, "blue"), example_of("a\x00b lamp", "lamp"))
    assert len(examples.sequences[0]) > 10_000
    assert examples.lengths.max() == 24
    assert examples.targets[0][-1].tolist() != [0, 0]
    assert examples.targets[1][-1].tolist() != [0, 0]


CONTEXT = "the 👩‍💻 lamp is Ünïcode"


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "lamp", "start": 8}],
        [{"text": "lamp", "answer_start": 8}],
        {"text": ["lamp"], "answer_start": [8]},
    ],
)
def test_answers_are_read_in_either_form_with_offsets_in_characters(answers: object) -> None:
    assert KIND.parse("where", CONTEXT, answers)[1] == (GoldAnswer(text="lamp", start=8),)


@pytest.mark.parametrize("answers", [[], {"text": [], "answer_start": []}])
def test_a_question_may_have_no_answer(answers: object) -> None:
    assert KIND.parse("where", CONTEXT, answers)[1] == ()


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([{"text": "lamp", "start": None}], "answers[0].start is missing (null or NaN)"),
        ([{"text": "", "start": 0}], "answers[0].text is empty"),
        ([{"start": 0}], "answers[0].text should be text, found None"),
        (["lamp"], "answers[0] should have text and start, found 'lamp'"),
        ("lamp", "answers should be a list, found 'lamp'"),
        (None, "answers should be a list, found None"),
        ({"text": ["lamp"], "answer_start": []}, "answers has 1 texts and 0 starts"),
    ],
)
def test_answers_that_are_none_say_why(answers: object, fault: str) -> None:
    with pytest.raises(RowError) as caught:
        KIND.parse("where", CONTEXT, answers)
    assert str(caught.value) == fault


@pytest.mark.parametrize(("start", "found"), [(9, "amp "), (99, ""), (-15, ""), (8.5, "")])
def test_an_answer_that_is_not_where_it_should_be_is_shown_beside_what_is(start: float, found: str) -> None:
    with pytest.raises(RowError) as caught:
        KIND.parse("where", CONTEXT, [{"text": "lamp", "start": start}])
    assert str(caught.value) == (
        f"answers[0] is 'lamp' from character {start:g}, but the context has {found!r} there"
    )


@pytest.mark.parametrize(
    ("question", "context", "fault"),
    [
        (" ", CONTEXT, "question is empty"),
        ("where", "", "context is empty"),
        ("where", "x\ud83d", "context has half a surrogate pair at character 1"),
    ],
)
def test_texts_that_are_none_are_named(question: str, context: str, fault: str) -> None:
    with pytest.raises(RowError, match=fault):
        KIND.parse(question, context, [])
