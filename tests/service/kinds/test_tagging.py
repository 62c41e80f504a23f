import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import RequestTooLarge
from service.inputs import TokensInput
from service.kinds.base import AnswerOptions
from service.kinds.registry import kind_of
from service.kinds.tagging import MAX_WORDS
from service.tokenization import FastTokenizer, TokenizedInput
from tests.support.service_fakes import TAGS, FakeTokenizer, task
from tests.support.service_readings import readings_of
from tests.support.tokenizer_families import FAMILIES

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
BIO = task("tagging", labels=TAGS)
PLAIN = task("tagging", labels=("NOUN", "VERB"), scheme="plain")
OUTSIDE, PER, INSIDE_PER, LOC, INSIDE_LOC = range(len(TAGS))


def tokens_of(given_input: str | TokensInput, tokenizer: Any) -> TokenizedInput:
    text = given_input if isinstance(given_input, str) else given_input.text
    ((window,),) = asyncio.run(tokenizer.tokenize([text], with_offsets=[0]))
    return window


def tag(
    given_input: str | TokensInput, best: list[int], entry: Any = BIO, tokenizer: Any = None, **options: Any
) -> Mapping[str, Any]:
    """Tag an input whose tokens, special ones included, have these best labels."""
    window = tokens_of(given_input, tokenizer or FakeTokenizer())
    logits = np.full((window.num_tokens, len(entry.labels)), -9.0)
    logits[range(window.num_tokens), best] = 9.0
    reading = readings_of((given_input, logits), tokens=[(window,)])
    (answer,) = kind_of(entry).decoder.answers(reading, AnswerOptions(**options))
    return answer


def test_entities_have_offsets_into_the_text_as_it_was_given() -> None:
    answer = tag("Mr  Xu left   Paris ", [OUTSIDE, PER, INSIDE_PER, OUTSIDE, LOC, OUTSIDE])
    assert answer["entities"] == [
        {"label": "PER", "text": "Mr  Xu", "start": 0, "end": 6, "score": pytest.approx(1.0)},
        {"label": "LOC", "text": "Paris", "start": 14, "end": 19, "score": pytest.approx(1.0)},
    ]


def test_given_tokens_are_words_as_they_are_and_offsets_count_one_space_between_them() -> None:
    given_tokens = TokensInput(tokens=("in", "New York", "!"))
    # The tokenizer splits the token that has a space in it; its first piece counts.
    answer = tag(given_tokens, [OUTSIDE, OUTSIDE, LOC, OUTSIDE, OUTSIDE, OUTSIDE])
    assert answer["entities"] == [
        {"label": "LOC", "text": "New York", "start": 3, "end": 11, "score": pytest.approx(1.0)}
    ]


def test_words_that_were_cut_off_are_outside_and_have_no_logits() -> None:
    answer = tag("a b c", [OUTSIDE, PER, INSIDE_PER], tokenizer=FakeTokenizer(3), return_logits=True)
    assert [each["text"] for each in answer["entities"]] == ["a b"]
    assert answer["logits"][2] is None


@pytest.mark.parametrize(
    ("entry", "options"), [(PLAIN, {}), (BIO, {"return_logits": True})], ids=["labels", "logits"]
)
def test_answers_that_tell_of_every_word_are_refused_beyond_a_number_of_words(
    entry: Any, options: dict[str, Any]
) -> None:
    texts = ["a " * (MAX_WORDS // 2), "a " * (MAX_WORDS // 2), "a", "never looked at"]
    tokens = [(tokens_of(text, FakeTokenizer(3)),) for text in texts]
    logits = np.zeros((3, len(entry.labels)))
    reading = readings_of(*((text, logits) for text in texts), tokens=tokens)
    with pytest.raises(RequestTooLarge, match=f"of {MAX_WORDS + 1} words or more; at most {MAX_WORDS}"):
        kind_of(entry).decoder.answers(reading, AnswerOptions(**options))


def test_entities_of_any_number_of_words_are_told() -> None:
    text = "a " * (MAX_WORDS + 1)
    assert tag(text, [OUTSIDE, PER, INSIDE_PER], tokenizer=FakeTokenizer(3))["entities"]


def test_a_label_for_every_word_where_tags_mark_no_spans() -> None:
    answer = tag("runs dogs far", [0, 1, 0, 0], PLAIN, FakeTokenizer(4))
    assert answer["tokens"] == [
        {"text": "runs", "start": 0, "end": 4, "label": "VERB", "score": pytest.approx(1.0)},
        {"text": "dogs", "start": 5, "end": 9, "label": "NOUN", "score": pytest.approx(1.0)},
        {"text": "far", "start": 10, "end": 13, "label": "NOUN", "score": pytest.approx(1.0)},
    ]
    cut = tag("runs dogs far", [0, 1, 0], PLAIN, FakeTokenizer(3))
    assert [each["label"] for each in cut["tokens"]] == ["VERB", "NOUN", None]


def test_the_score_of_an_entity_is_the_mean_of_its_words() -> None:
    window = tokens_of("a b", FakeTokenizer())
    probabilities = np.array([[0.2] * 5, [0.1, 0.6, 0.1, 0.1, 0.1], [0.05, 0.05, 0.8, 0.05, 0.05], [0.2] * 5])
    reading = readings_of(("a b", np.log(probabilities)), tokens=[(window,)])
    (answer,) = kind_of(BIO).decoder.answers(reading, AnswerOptions())
    assert answer["entities"][0]["score"] == pytest.approx(0.7)  # type: ignore[typeddict-item]


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> FastTokenizer:
    return FastTokenizer(FAMILIES[request.param](), max_length=24)


@given(text=ANY_TEXT, seed=st.integers(0, 99))
def test_every_entity_is_exactly_what_the_text_has_at_its_offsets(
    tokenizer: FastTokenizer, text: str, seed: int
) -> None:
    num_tokens = tokens_of(text, tokenizer).num_tokens
    best = np.random.default_rng(seed).integers(0, len(TAGS), num_tokens).tolist()
    end = 0
    for entity in tag(text, best, tokenizer=tokenizer)["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"] != ""
        assert entity["text"].strip() == entity["text"]
        assert entity["start"] >= end
        end = entity["end"]


@given(tokens=st.lists(ANY_TEXT.filter(lambda text: bool(text.strip())), min_size=1, max_size=8).map(tuple))
def test_every_given_token_has_its_answer_in_its_place(
    tokenizer: FastTokenizer, tokens: tuple[str, ...]
) -> None:
    given_tokens = TokensInput(tokens=tokens)
    best = [0] * tokens_of(given_tokens, tokenizer).num_tokens
    answer = tag(given_tokens, best, PLAIN, tokenizer)
    assert [each["text"] for each in answer["tokens"]] == list(tokens)
    assert all(given_tokens.text[each["start"] : each["end"]] == each["text"] for each in answer["tokens"])


@pytest.mark.parametrize("text", ["Anna lives in New York.", "My  order\tis   late !", "не пришла посылка"])
def test_every_word_of_plain_text_finds_its_token(tokenizer: FastTokenizer, text: str) -> None:
    best = [0] * tokens_of(text, tokenizer).num_tokens
    answer = tag(text, best, PLAIN, tokenizer)
    assert [each["text"] for each in answer["tokens"] if each["label"] is None] == []
