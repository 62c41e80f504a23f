import asyncio
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import RequestTooLarge
from service.tokenization import (
    INLINE_CHARS,
    MIN_NEW_TOKENS,
    PART_CHARS,
    ContextWindows,
    FastTokenizer,
    QuestionTooLong,
    TextPair,
    TextSequence,
    TokenizedInput,
    Windows,
)
from tests.support.tiny import MAX_LENGTH

STRIDE = 4


@pytest.fixture
def tokenizer(tiny_encoder: Path) -> Iterator[FastTokenizer]:
    tokenizer = FastTokenizer.from_file(tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH)
    yield tokenizer
    tokenizer.close()


async def test_nothing_is_padded_even_if_the_file_says_so(tiny_encoder: Path) -> None:
    padded = FastTokenizer.from_file(tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH)
    (short,), (longer,) = await padded.tokenize(["red", "the red lamp is late"])
    padded.close()
    assert (short.num_tokens, longer.num_tokens) == (3, 7)


async def test_a_long_text_is_truncated_and_says_so(tokenizer: FastTokenizer) -> None:
    (short,), (long,) = await tokenizer.tokenize(["red", "red " * 50])
    assert not short.is_truncated
    assert long.is_truncated
    assert long.num_tokens == MAX_LENGTH


async def test_a_pair_carries_its_border_in_the_types(tokenizer: FastTokenizer) -> None:
    ((pair,),) = await tokenizer.tokenize([TextPair("red lamp", "blue")])
    assert pair.is_pair
    assert pair.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1]


async def test_the_thread_gives_the_same_tokens_as_the_loop(tokenizer: FastTokenizer) -> None:
    texts = [f"order {n} is late" for n in range(INLINE_CHARS // 10)]
    together = await tokenizer.tokenize(texts)
    for text, (found,) in zip(texts, together, strict=True):
        ((alone,),) = await tokenizer.tokenize([text])
        assert alone.input_ids.tolist() == found.input_ids.tolist()


@pytest.mark.parametrize("text", ["", " ", "\x00", "\U0001f600", "a" * 5000, "‮אבג"])
async def test_any_text_has_tokens(tokenizer: FastTokenizer, text: str) -> None:
    ((found,),) = await tokenizer.tokenize([text])
    assert 2 <= found.num_tokens <= MAX_LENGTH


async def test_offsets_are_there_only_where_they_were_asked_for(tokenizer: FastTokenizer) -> None:
    (first,), (second,), (pair,) = await tokenizer.tokenize(
        ["red lamp", "red lamp", TextPair("red", "lamp")], with_offsets=[1, 2]
    )
    assert first.offsets is None
    assert first.input_ids.tolist() == second.input_ids.tolist()
    assert second.offsets is not None
    assert list(second.offsets.spans) == [(0, 0), (0, 3), (4, 8), (0, 0)]
    assert pair.offsets is not None
    assert list(pair.offsets.sides) == [None, 0, None, 1, None]


async def test_any_mixture_is_tokenised_in_the_given_order(tokenizer: FastTokenizer) -> None:
    windows = ContextWindows("where is it", "the red lamp " * 12, STRIDE)
    mixture: list[TextSequence] = ["red", windows, TextPair("red", "lamp"), "lamp", windows]
    together = await tokenizer.tokenize(mixture, with_offsets=[3])
    for each, found in zip(mixture, together, strict=True):
        (alone,) = await tokenizer.tokenize([each])
        assert [window.input_ids.tolist() for window in found] == [
            window.input_ids.tolist() for window in alone
        ]


class Logged(FastTokenizer):
    """Keeps what takes the thread, piece by piece; the first one waits for the gate."""

    def __init__(self, tokenizer: Any, **options: Any) -> None:
        super().__init__(tokenizer, **options)
        self.pieces: list[list[TextSequence]] = []
        self.gate = threading.Event()

    def _encode(self, sequences: Sequence[TextSequence], *more: Any) -> list[Windows]:
        self.pieces.append([*sequences])
        assert self.gate.wait(10.0), "nobody opened the gate"
        return super()._encode(sequences, *more)


LONG = ["lamp " * (PART_CHARS // 10)] * 5
"""Two of them are a piece."""


async def test_a_job_takes_the_thread_in_pieces_and_others_get_it_between(tiny_encoder: Path) -> None:
    tokenizer = Logged.from_file(tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH)
    other = "red " * INLINE_CHARS
    job = asyncio.create_task(tokenizer.tokenize([*LONG, "red"], with_offsets=[4, 5]))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(tokenizer.tokenize([other]))
    await asyncio.sleep(0)
    tokenizer.gate.set()
    *_, (fifth,), (last,) = await job
    await waiting
    tokenizer.close()
    assert [len(piece) for piece in tokenizer.pieces] == [2, 1, 2, 2]
    assert tokenizer.pieces[1] == [other]
    assert fifth.offsets is not None
    assert last.offsets is not None
    assert last.input_ids.tolist() == (await tokenizer.tokenize(["red"]))[0][0].input_ids.tolist()


async def test_who_leaves_takes_no_further_piece_of_the_thread(tiny_encoder: Path) -> None:
    tokenizer = Logged.from_file(tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH)
    job = asyncio.create_task(tokenizer.tokenize(LONG))
    await asyncio.sleep(0)
    job.cancel()
    await asyncio.wait([job])
    tokenizer.gate.set()
    await tokenizer.tokenize(["red " * INLINE_CHARS])
    tokenizer.close()
    assert len(tokenizer.pieces) == 2


def context_of(window: TokenizedInput) -> list[tuple[int, int]]:
    assert window.offsets is not None
    return [span for span, side in zip(window.offsets.spans, window.offsets.sides, strict=True) if side == 1]


async def test_windows_cover_the_whole_context_and_share_a_stride(tokenizer: FastTokenizer) -> None:
    context = " ".join(["red", "lamp", "blue", "shoe"] * 15)
    (windows,) = await tokenizer.tokenize([ContextWindows("where is it", context, STRIDE)])
    assert len(windows) > 3
    spans = [context_of(window) for window in windows]
    assert sorted({span for each in spans for span in each}) == [
        (start, start + len(word))
        for start, word in zip(
            [sum(len(each) + 1 for each in context.split()[:n]) for n in range(60)],
            context.split(),
            strict=True,
        )
    ]
    for before, after in pairwise(spans):
        assert before[-STRIDE:] == after[:STRIDE]
    for window in windows:
        assert window.is_pair
        assert not window.is_truncated
        assert window.num_tokens <= MAX_LENGTH
        assert window.input_ids[:5].tolist() == windows[0].input_ids[:5].tolist()


async def test_a_short_context_is_one_window_and_equals_the_pair(tokenizer: FastTokenizer) -> None:
    (window,), (pair,) = await tokenizer.tokenize(
        [ContextWindows("where is it", "the lamp", STRIDE), TextPair("where is it", "the lamp")]
    )
    assert window.input_ids.tolist() == pair.input_ids.tolist()
    assert window.token_type_ids.tolist() == pair.token_type_ids.tolist()


async def test_an_empty_context_is_one_window_without_context_tokens(tokenizer: FastTokenizer) -> None:
    ((window,),) = await tokenizer.tokenize([ContextWindows("where", "\x00", STRIDE)])
    assert context_of(window) == []


async def test_questions_that_leave_too_few_tokens_for_the_context_are_named(
    tokenizer: FastTokenizer,
) -> None:
    room = MAX_LENGTH - 3 - STRIDE - MIN_NEW_TOKENS
    long, longest = "red " * room, "red " * (room + 1)
    assert await tokenizer.tokenize([ContextWindows(long, "lamp " * 50, STRIDE)])
    with pytest.raises(QuestionTooLong) as refusal:
        await tokenizer.tokenize(
            ["red", ContextWindows(longest, "lamp", STRIDE), ContextWindows(long, "lamp", STRIDE)]
        )
    assert refusal.value.faults == {1: f"More than {room} tokens, which leaves too few for the context."}
    piece = "red " * PART_CHARS
    asked = ContextWindows(longest, "lamp", STRIDE)
    with pytest.raises(QuestionTooLong) as refusal:
        await tokenizer.tokenize([asked, piece, asked])
    assert refusal.value.faults.keys() == {0, 2}


async def test_windows_beyond_the_bound_are_refused_before_any_is_cut(tiny_encoder: Path) -> None:
    room = MAX_LENGTH - 3 - STRIDE - MIN_NEW_TOKENS
    question, context = "red " * room, "lamp " * 100_000
    bounded = FastTokenizer.from_file(
        tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH, max_window_tokens=65_536
    )
    with pytest.raises(RequestTooLarge, match=r"have 299996 tokens"):  # 12 500 windows of 24
        await bounded.tokenize([ContextWindows(question, context, STRIDE)])
    bounded.close()
    assert not bounded._windowing, "what cuts contexts was never made"


async def test_the_bound_is_on_all_windows_of_a_request(tiny_encoder: Path) -> None:
    bounded = FastTokenizer.from_file(
        tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH, max_window_tokens=4 * MAX_LENGTH
    )
    short = ContextWindows("red", "lamp " * MAX_LENGTH, STRIDE)
    (windows,) = await bounded.tokenize([short])
    assert len(windows) == 2
    assert await bounded.tokenize(["red " * 99, short, short])
    with pytest.raises(RequestTooLarge):
        await bounded.tokenize([short, short, short])
    padding = "red " * PART_CHARS  # takes a piece of its own
    with pytest.raises(RequestTooLarge):
        await bounded.tokenize([short, padding, short, padding, short])
    bounded.close()


@settings(max_examples=60)
@given(question_len=st.integers(1, 15), context_len=st.integers(0, 200), stride=st.integers(0, 4))
def test_windows_are_counted_as_they_are_cut(
    tiny_encoder: Path, question_len: int, context_len: int, stride: int
) -> None:
    tokenizer = _cached(tiny_encoder)
    each = ContextWindows("red " * question_len, "lamp " * context_len, stride)
    windows = tokenizer._cut_into_windows(each)
    assert tokenizer._count_tokens(each, question_len) == sum(window.num_tokens for window in windows)


@cache
def _cached(tiny_encoder: Path) -> FastTokenizer:
    return FastTokenizer.from_file(tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH)
