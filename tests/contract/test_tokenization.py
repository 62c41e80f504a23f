"""The service tokenises exactly as training did, whatever the tokenizer's algorithm and special tokens."""

import asyncio
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from service.tokenization import FastTokenizer, TextPair, TextSequence
from tests.support.families import TOKENIZERS
from training.tokenization import build_tokenizer, encode_texts

MAX_LENGTH = 20
FAMILIES = ("albert", "bert", "roberta", "xlm-roberta")

texts = st.one_of(
    st.text(max_size=60), st.sampled_from(["The lamp  arrived", "Größe 42, naïve?", "цена 5 €", "👩‍👩‍👧 ok"])
)


@cache
def trainings(family: str) -> Tokenizer:
    """The tokenizer of a run: the published file, with training's truncation."""
    return build_tokenizer(TOKENIZERS[family]().to_str(), MAX_LENGTH)


@cache
def services(family: str) -> FastTokenizer:
    """The service's, from the file that a checkpoint keeps and a bundle carries."""
    saved = Tokenizer.from_str(trainings(family).to_str())
    return FastTokenizer(saved, max_length=MAX_LENGTH)


def served(family: str, sequences: list[TextSequence]) -> list[tuple[list[int], list[int]]]:
    windows = asyncio.run(services(family).tokenize(sequences))
    return [(each.input_ids.tolist(), each.token_type_ids.tolist()) for (each,) in windows]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40)
@given(
    singles=st.lists(texts, min_size=1, max_size=3),
    pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=3),
)
def test_service_and_training_give_equal_ids_and_types(
    family: str, singles: list[str], pairs: list[tuple[str, str]]
) -> None:
    expected = encode_texts(trainings(family), singles) + encode_texts(trainings(family), pairs)
    found = served(family, [*singles, *(TextPair(*pair) for pair in pairs)])
    assert found == [(each.input_ids, each.token_type_ids) for each in expected]
    assert all(len(ids) <= MAX_LENGTH for ids, _ in found)


@pytest.mark.parametrize(
    ("family", "special", "types"),
    [
        ("bert", ["[CLS]", "[SEP]", "[SEP]"], {0, 1}),
        ("albert", ["[CLS]", "[SEP]", "[SEP]"], {0, 1}),
        ("roberta", ["<s>", "</s>", "</s>", "</s>"], {0}),
        ("xlm-roberta", ["<s>", "</s>", "</s>", "</s>"], {0}),
    ],
)
def test_a_pair_has_the_familys_own_special_tokens(family: str, special: list[str], types: set[int]) -> None:
    ((ids, token_types),) = served(family, [TextPair("the lamp", "a shoe")])
    tokens = [trainings(family).id_to_token(each) for each in ids]
    assert [token for token in tokens if token in special] == special
    assert (tokens[0], tokens[-1]) == (special[0], special[-1])
    assert set(token_types) == types


@pytest.mark.parametrize("family", FAMILIES)
def test_different_words_are_different_ids(family: str) -> None:
    """The equalities above would hold for a tokenizer that knows no word."""
    one, two = served(family, ["the lamp arrived", "a slow refund"])
    assert one != two
    assert len(set(one[0])) > 3
