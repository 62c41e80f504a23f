from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.support.families import byte_level_bpe, multilingual_unigram, word_piece
from tests.training.kinds.support import examples_of, tokenizer_of
from training.batches import collate
from training.examples import EncodedExamples
from training.kinds.base import RowError
from training.kinds.tag_schemes import is_valid_tag, tags_in_order
from training.kinds.tagging import IGNORED, NO_TOKEN, Tagging, first_tokens
from training.losses import LabelLoss

TAGS = ("O", "B-thing", "I-thing")
KIND = Tagging(labels=TAGS)
PLAIN = Tagging(labels=("NOUN", "VERB"), scheme="plain")
TOKENIZERS: list[Callable[[], Tokenizer]] = [word_piece, byte_level_bpe, multilingual_unigram]


def encoded(kind: Tagging, tokens: list[str], tags: tuple[int, ...], tokenizer: Tokenizer) -> EncodedExamples:
    return kind.encode(examples_of([({"tokens": tokens}, tags)]), tokenizer)


def answering(kind: Tagging, examples: EncodedExamples, tags: list[list[int]]) -> list[np.ndarray]:
    """Logits that give each sentence's words these tags."""
    logits = []
    for (sequence,), words, wanted in zip(examples.sequences, examples.references, tags, strict=True):
        rows = np.zeros((len(sequence.input_ids), kind.num_outputs), dtype=np.float32)
        for token, tag in zip(words.tokens, wanted, strict=True):
            if token != NO_TOKEN:
                rows[token, tag] = 5
        logits.append(rows)
    return logits


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_words_first_token_carries_its_tag_and_no_other(tokenizer: Callable[[], Tokenizer]) -> None:
    words = ["my", "broken", "lamp", "zebra42", "é́", "!"]
    encoding = tokenizer().encode(" ".join(words))
    found = first_tokens(words, encoding)
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    assert (found[:3] != NO_TOKEN).all()
    assert sorted(set(found[found != NO_TOKEN])) == sorted(found[found != NO_TOKEN]), "each its own"
    for number, token in enumerate(found):
        if token == NO_TOKEN:
            continue
        start, end = encoding.offsets[token]
        text = " ".join(words)[start:end]
        assert starts[number] <= start + len(text) - len(text.lstrip()) < starts[number + 1] - 1
        assert encoding.sequence_ids[token] == 0


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(words=st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=8))
def test_whatever_the_words_the_tokens_come_in_their_order(
    tokenizer: Callable[[], Tokenizer], words: list[str]
) -> None:
    found = first_tokens(words, tokenizer().encode(" ".join(words)))
    carrying = found[found != NO_TOKEN]
    assert (np.diff(carrying) > 0).all()


def test_targets_stand_at_first_tokens_alone(tiny_encoder: Path) -> None:
    examples = encoded(KIND, ["zebra42", "lamp"], (1, 2), tokenizer_of(tiny_encoder))
    (target,), (words,) = examples.targets, examples.references
    assert len(target) == len(examples.sequences[0][0].input_ids)
    assert words.tokens[0] == 1, "behind [CLS]"
    assert {int(i): int(t) for i, t in enumerate(target) if t != IGNORED} == {
        words.tokens[0]: 1,
        words.tokens[1]: 2,
    }


def test_words_beyond_max_length_are_not_learnt_and_count_as_outside(tiny_encoder: Path) -> None:
    examples = encoded(KIND, ["lamp"] * 10, (1,) * 10, tokenizer_of(tiny_encoder, max_length=8))
    assert (examples.references[0].tokens == NO_TOKEN).sum() == 4
    found = KIND.measure(answering(KIND, examples, [[1] * 10]), examples)
    assert found == pytest.approx({"f1": 2 * 0.6 / 1.6, "precision": 1.0, "recall": 0.6, "accuracy": 0.6})
    plain = encoded(PLAIN, ["lamp"] * 10, (0,) * 10, tokenizer_of(tiny_encoder, max_length=8))
    assert PLAIN.measure(answering(PLAIN, plain, [[0] * 10]), plain)["accuracy"] == pytest.approx(0.6)


def test_spans_count_whole_and_by_label_while_accuracy_counts_words(tiny_encoder: Path) -> None:
    examples = encoded(
        KIND, ["the", "blue", "lamp", "my", "shoe"], (0, 1, 2, 0, 1), tokenizer_of(tiny_encoder)
    )
    found = KIND.measure(answering(KIND, examples, [[0, 1, 0, 0, 1]]), examples)
    assert found == pytest.approx({"f1": 0.5, "precision": 0.5, "recall": 0.5, "accuracy": 0.8})
    assert tuple(found) == KIND.metrics


def test_tags_without_spans_have_accuracy_and_macro_f1(tiny_encoder: Path) -> None:
    examples = encoded(PLAIN, ["the", "blue", "lamp", "my"], (0, 0, 1, 1), tokenizer_of(tiny_encoder))
    found = PLAIN.measure(answering(PLAIN, examples, [[0, 0, 0, 1]]), examples)
    assert found == pytest.approx({"accuracy": 0.75, "f1_macro": (0.8 + 2 / 3) / 2})
    assert tuple(found) == PLAIN.metrics == ("accuracy", "f1_macro")


def test_the_loss_is_over_words_and_knows_no_padding(tiny_encoder: Path) -> None:
    tokenizer = tokenizer_of(tiny_encoder)
    both = KIND.encode(
        examples_of([({"tokens": ["lamp"]}, (1,)), ({"tokens": ["the", "zebra42", "shoe"]}, (0, 1, 2))]),
        tokenizer,
    )
    batch = collate(both, [0, 1], pad_token_id=0)
    logits = torch.randn(2, batch.inputs.input_ids.shape[1], 3)
    rows = [logits[0, 1], *(logits[1, token] for token in both.references[1].tokens)]
    expected = torch.nn.functional.cross_entropy(torch.stack(rows), torch.tensor([1, 0, 1, 2]))
    torch.testing.assert_close(KIND.loss(logits, batch), expected)
    logits[batch.inputs.attention_mask == 0] = 1e4
    torch.testing.assert_close(KIND.loss(logits, batch), expected)


def test_a_batch_without_a_single_known_token_costs_nothing(tiny_encoder: Path) -> None:
    examples = encoded(KIND, ["\u200b\u200d"], (1,), tokenizer_of(tiny_encoder))
    assert examples.references[0].tokens.tolist() == [NO_TOKEN]
    batch = collate(examples, [0], pad_token_id=0)
    logits = torch.randn(1, batch.inputs.input_ids.shape[1], 3, requires_grad=True)
    loss = KIND.loss(logits, batch)
    loss.backward()
    assert loss == 0


def test_balanced_weights_count_the_words_of_train() -> None:
    kind = Tagging(labels=TAGS, objective=LabelLoss(class_weights="balanced"))
    examples = examples_of([({"tokens": ["a"] * 4}, (0, 0, 0, 1)), ({"tokens": ["a"] * 2}, (2, 0))])
    assert kind.adapted(examples).objective.class_weights == pytest.approx((6 / 12, 6 / 3, 6 / 3))


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ((["a", "b"], ["O"]), "tags should be as many as tokens, 2, found 1"),
        ((["a"], ["O", "O"]), "tags should be as many as tokens, 1, found 2"),
        ((["a", "b"], ["O", "B-place"]), "tags[1] 'B-place' is none of O, B-thing, I-thing"),
        ((["a", " "], ["O", "O"]), "tokens[1] is empty"),
        ((["a", None], ["O", "O"]), "tokens[1] should be text, found None"),
        (([], []), "tokens is empty"),
        (("a b", ["O", "O"]), "tokens should be a list, found 'a b'"),
        ((["a"], None), "tags should be a list, found None"),
        ((["a"], [None]), "tags[0] is missing (null or NaN)"),
        ((["a\ud83d"], ["O"]), "tokens[0] has half a surrogate pair at character 1"),
    ],
)
def test_a_row_that_does_not_fit_says_why(cells: tuple[object, ...], fault: str) -> None:
    with pytest.raises(RowError) as caught:
        KIND.parse(*cells)
    assert str(caught.value) == fault


def test_a_million_characters_and_a_nul_are_words(tiny_encoder: Path) -> None:
    for token in ("a" * 10**6, "a\x00b"):
        given, tags = KIND.parse([token, "lamp"], ["O", "O"])
        examples = encoded(KIND, given["tokens"], tags, tokenizer_of(tiny_encoder))
        assert len(examples.sequences[0][0].input_ids) <= 24


@pytest.mark.parametrize(
    ("scheme", "valid", "invalid"),
    [
        ("bio", ["O", "B-x", "I-a-b"], ["E-x", "B", "B-", "-x", "o", "x", "BI-x", ""]),
        ("iob1", ["O", "B-x", "I-x"], ["S-x"]),
        ("iobes", ["O", "B-x", "I-x", "E-x", "S-x"], ["L-x", "U-x"]),
        ("plain", ["NOUN", "x", "B-"], [""]),
    ],
)
def test_a_scheme_knows_its_tags(scheme: str, valid: list[str], invalid: list[str]) -> None:
    assert all(is_valid_tag(tag, scheme) for tag in valid)
    assert not any(is_valid_tag(tag, scheme) for tag in invalid)


def test_tags_found_in_data_come_sorted_and_outside_first() -> None:
    assert tags_in_order(["I-b", "B-a", "O", "B-a"]) == ("O", "B-a", "I-b")
