from pathlib import Path

import numpy as np
import pytest

from tests.training.kinds.support import examples_of, tokenizer_of
from training.kinds.base import RowError
from training.kinds.regression import Regression
from training.kinds.texts import Texts

PAIRS = [({"text": "the lamp", "text_pair": "blue"}, 1.0), ({"text": "a", "text_pair": "b c d"}, 2.0)]


def test_a_bi_encoded_pair_becomes_two_sequences_and_a_cross_encoded_one_becomes_one(
    tiny_encoder: Path,
) -> None:
    tokenizer, columns = tokenizer_of(tiny_encoder), ("a", "b")
    apart = Regression(texts=Texts(columns=columns, bi_encoder=True)).encode(examples_of(PAIRS), tokenizer)
    assert [len(example) for example in apart.sequences] == [2, 2]
    assert apart.lengths.tolist() == [4, 5]
    assert apart.rows_of(0).tolist() == [[0, 1]]
    cross = Regression(texts=Texts(columns=columns)).encode(examples_of(PAIRS), tokenizer)
    (pair,), _ = cross.sequences
    assert cross.rows_of(0).tolist() == [[0]]
    assert pair.token_type_ids == [0, 0, 0, 0, 1, 1]
    first, second = apart.sequences[0]
    assert pair.input_ids == [*first.input_ids, *second.input_ids[1:]]


@pytest.mark.parametrize("bi_encoder", [True, False])
def test_a_symmetric_pair_is_learnt_in_both_orders_and_measured_in_one(
    tiny_encoder: Path, bi_encoder: bool
) -> None:
    kind = Regression(texts=Texts(columns=("a", "b"), bi_encoder=bi_encoder, symmetric=True))
    tokenizer, swapped = tokenizer_of(tiny_encoder), [
        ({"text": given["text_pair"], "text_pair": given["text"]}, value) for given, value in PAIRS
    ]  # fmt: skip
    learnt = kind.encode_for_training(examples_of(PAIRS), tokenizer)
    expected = kind.encode(examples_of([*PAIRS, *swapped]), tokenizer)
    assert learnt.sequences == expected.sequences
    assert np.concatenate(learnt.targets).tolist() == [1, 2, 1, 2]
    assert len(kind.encode(examples_of(PAIRS), tokenizer)) == 2


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (("x", " \n"), "b is empty"),
        ((None, "x"), "a should be text, found None"),
        (("x", 7), "b should be text, found 7"),
        (("x", "y\ud83d"), "b has half a surrogate pair at character 1"),
    ],
)
def test_a_cell_that_is_no_text_is_named(cells: tuple[object, ...], fault: str) -> None:
    with pytest.raises(RowError) as caught:
        Texts(columns=("a", "b")).parse(*cells)
    assert str(caught.value) == fault


def test_a_million_characters_and_a_nul_are_text(tiny_encoder: Path) -> None:
    given = [({"text": "lamp " * 200_000}, 1.0), ({"text": "a\x00b"}, 2.0)]
    encoded = Regression(texts=Texts(columns=("text",))).encode(
        examples_of(given), tokenizer_of(tiny_encoder)
    )
    assert encoded.lengths[0] == 24, "cut to max_length"
    assert encoded.lengths[1] >= 3
