from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.encoder import load_tokenizer_json
from training.tokenization import build_tokenizer, encode_texts

MAX_LENGTH = 12


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return build_tokenizer(load_tokenizer_json(str(tiny_encoder)), MAX_LENGTH)


def test_padding_stored_in_the_file_is_switched_off(tokenizer: Tokenizer, tiny_encoder: Path) -> None:
    assert len(Tokenizer.from_file(str(tiny_encoder / "tokenizer.json")).encode("lamp").ids) == 16
    assert [len(s.input_ids) for s in encode_texts(tokenizer, ["lamp", "the blue lamp"])] == [3, 5]


def test_a_saved_tokenizer_repeats_truncation_and_padding_of_training(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_str(tokenizer.to_str())
    for text in ("lamp", "lamp " * 40):
        assert again.encode(text).ids == tokenizer.encode(text).ids


def test_of_a_pair_the_longer_text_loses_first(tokenizer: Tokenizer) -> None:
    (sequence,) = encode_texts(tokenizer, [("lamp " * 40, "blue shoe")])
    assert len(sequence.input_ids) == MAX_LENGTH
    assert sequence.token_type_ids.count(1) == 3, "both words of the shorter text and its separator"


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_a_text_gives_the_same_tokens_alone_and_in_company(tokenizer: Tokenizer, texts: list[str]) -> None:
    together = encode_texts(tokenizer, texts)
    assert together == [encode_texts(tokenizer, [text])[0] for text in texts]
    assert all(2 <= len(sequence.input_ids) <= MAX_LENGTH for sequence in together)
