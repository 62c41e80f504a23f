from collections.abc import Iterator
from pathlib import Path

import pytest

from service.tokenization import INLINE_CHARS, FastTokenizer, TextSequence
from tests.support.tiny import MAX_LENGTH


@pytest.fixture
def tokenizer(tiny_bundle: Path) -> Iterator[FastTokenizer]:
    tokenizer = FastTokenizer.from_file(tiny_bundle / "tokenizer.json", max_length=MAX_LENGTH)
    yield tokenizer
    tokenizer.close()


async def test_nothing_is_padded_even_if_the_file_says_so(tiny_encoder: Path) -> None:
    padded = FastTokenizer.from_file(tiny_encoder / "tokenizer.json", max_length=MAX_LENGTH)
    short, longer = await padded.tokenize(
        [TextSequence(text="red"), TextSequence(text="the red lamp is late")]
    )
    padded.close()
    assert (short.num_tokens, longer.num_tokens) == (3, 7)


async def test_a_long_text_is_truncated_and_says_so(tokenizer: FastTokenizer) -> None:
    short, long = await tokenizer.tokenize([TextSequence(text="red"), TextSequence(text="red " * 50)])
    assert not short.is_truncated
    assert long.is_truncated
    assert long.num_tokens == MAX_LENGTH


async def test_a_pair_carries_its_border_in_the_types(tokenizer: FastTokenizer) -> None:
    (pair,) = await tokenizer.tokenize([TextSequence(text="red lamp", text_pair="blue")])
    assert pair.is_pair
    assert pair.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1]


async def test_the_thread_gives_the_same_tokens_as_the_loop(tokenizer: FastTokenizer) -> None:
    texts = [TextSequence(text=f"order {n} is late") for n in range(INLINE_CHARS // 10)]
    together = await tokenizer.tokenize(texts)
    for text, found in zip(texts, together, strict=True):
        (alone,) = await tokenizer.tokenize([text])
        assert alone.input_ids.tolist() == found.input_ids.tolist()


@pytest.mark.parametrize("text", ["", " ", "\x00", "\U0001f600", "a" * 5000, "‮אבג"])
async def test_any_text_has_tokens(tokenizer: FastTokenizer, text: str) -> None:
    (found,) = await tokenizer.tokenize([TextSequence(text=text)])
    assert 2 <= found.num_tokens <= MAX_LENGTH
