import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kinds.words import attaches, first_tokens, split_words, token_words
from service.tokenization import TokenOffsets

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)

E_ACUTE = "e\u0301"
WOMAN_AT_COMPUTER = "\U0001f469\u200d\U0001f4bb"


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("my order_1 is late!", ["my", "order_1", "is", "late", "!"]),
        ("  two\t\nlines  ", ["two", "lines"]),
        ("it's 3.50", ["it", "'", "s", "3", ".", "50"]),
        (f"caf{E_ACUTE}s", [f"caf{E_ACUTE}s"]),
        (f"{WOMAN_AT_COMPUTER}\u2764\ufe0fok", [WOMAN_AT_COMPUTER, "\u2764\ufe0f", "ok"]),
        ("\U0001f44d\U0001f3fd\U0001f44d", ["\U0001f44d\U0001f3fd", "\U0001f44d"]),
        ("на Неве́", ["на", "Неве́"]),
        ("हिन्दी", ["हिन्दी"]),
        ("\u0301a", ["\u0301", "a"]),
        ("a \u0301b", ["a", "\u0301", "b"]),
        ("!\u0301a", ["!\u0301", "a"]),
        ("\x00a", ["\x00", "a"]),
        ("", []),
        ("\u3000 ", []),
    ],
)
def test_words_are_runs_of_word_characters_or_single_other_ones(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(ANY_TEXT)
def test_words_cover_everything_visible_once_and_in_order(text: str) -> None:
    spans = split_words(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}


@given(ANY_TEXT)
def test_no_word_begins_with_what_belongs_to_the_character_before(text: str) -> None:
    for start, _ in split_words(text):
        assert start == 0 or text[start - 1].isspace() or not attaches(text[start])


@given(ANY_TEXT)
def test_composed_and_decomposed_letters_make_as_many_words(text: str) -> None:
    letters = "".join(each for each in text if each.isalpha() or each.isspace())
    assert len(split_words(unicodedata.normalize("NFC", letters))) == len(
        split_words(unicodedata.normalize("NFD", letters))
    )


def test_given_tokens_lie_one_space_apart() -> None:
    assert token_words(["my", "New York", "!"]) == [(0, 2), (3, 11), (12, 13)]


def test_a_word_is_carried_by_the_first_token_that_starts_in_it() -> None:
    offsets = TokenOffsets(spans=[(0, 0), (0, 2), (2, 5), (5, 9), (0, 0)], sides=[None, 0, 0, 0, None])
    # "order" is cut into two tokens; the last token's offsets include the space before "now".
    assert first_tokens([(0, 5), (6, 9)], "order now", offsets) == [1, 3]


def test_a_word_without_a_token_has_none() -> None:
    offsets = TokenOffsets(spans=[(0, 0), (0, 2), (2, 3)], sides=[None, 0, 0])
    assert first_tokens([(0, 2), (3, 4), (5, 6)], "ab c d", offsets) == [1, None, None]
