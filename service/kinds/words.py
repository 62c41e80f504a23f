"""Text → words, and words → the tokens that carry their labels.

All positions are Python string indices, that is, Unicode code points, in the caller's own text.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeAlias

from service.tokenization import TokenOffsets

Span: TypeAlias = tuple[int, int]
"""Start and end, in code points."""

PIECES = re.compile(r"\w+|\S")
"""Runs of letters, digits and ``_``; every other visible character by itself."""

ZERO_WIDTH_JOINER = "\u200d"
JOINERS = frozenset({ZERO_WIDTH_JOINER, "\u200c"})
SKIN_TONES = range(0x1F3FB, 0x1F400)


def split_words(text: str) -> list[Span]:
    """Words of raw text.

    A word is a maximal run of word characters, or any other visible character. What Unicode attaches to the
    character before it (combining marks, joiners, variation selectors, skin tones) stays with it, and so does
    what follows a zero-width joiner: ``é`` of two code points is one character, ``👩‍💻`` of three one word.
    """
    words: list[Span] = []
    is_run = False  # whether the last word is a run that letters continue
    for piece in PIECES.finditer(text):
        start, end = piece.span()
        first = text[start]
        is_adjacent = bool(words) and words[-1][1] == start
        continues_run = is_run and _is_word_character(first)
        if is_adjacent and (attaches(first) or continues_run or text[start - 1] == ZERO_WIDTH_JOINER):
            words[-1] = words[-1][0], end
        else:
            words.append((start, end))
            is_run = _is_word_character(first)
    return words


def attaches(character: str) -> bool:
    """Whether it belongs to the character before it."""
    if character.isascii():
        return False
    return unicodedata.category(character)[0] == "M" or character in JOINERS or ord(character) in SKIN_TONES


def token_words(tokens: Sequence[str]) -> list[Span]:
    """Spans of given tokens in their text, where one space joins them."""
    spans, start = [], 0
    for token in tokens:
        spans.append((start, start + len(token)))
        start += len(token) + 1
    return spans


def first_tokens(words: Sequence[Span], text: str, offsets: TokenOffsets) -> list[int | None]:
    """The token that carries each word's label: the first one that starts within the word.

    Where a token's offsets begin with the space before it (byte-level BPE, SentencePiece), it starts at its
    first visible character.

    Returns:
        For each word a place among the tokens; None for a word that was cut off, or that the tokenizer drops.
    """
    found: list[int | None] = [None] * len(words)
    starts = [start for start, _ in words]
    for place, ((start, end), side) in enumerate(zip(offsets.spans, offsets.sides, strict=True)):
        if side is None:
            continue
        while start < end and text[start].isspace():
            start += 1
        word = bisect_right(starts, start) - 1
        if start < end and word >= 0 and start < words[word][1] and found[word] is None:
            found[word] = place
    return found


def _is_word_character(character: str) -> bool:
    return character.isalnum() or character == "_"
