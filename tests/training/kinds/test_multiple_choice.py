from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.training.kinds.support import examples_of, tokenizer_of
from training.batches import collate
from training.kinds.base import RowError
from training.kinds.multiple_choice import MultipleChoice
from training.tokenization import encode_texts

KIND = MultipleChoice(context_column="context", question_column="question")
PAIRS = [
    ({"context": "the lamp", "question": "is broken", "choices": ["help", "refund", "wait"]}, 1),
    ({"context": "my shoe", "question": "late", "choices": ["a", "b"]}, 0),
]


def test_each_choice_stands_behind_context_and_question_joined_by_a_space(tiny_encoder: Path) -> None:
    tokenizer = tokenizer_of(tiny_encoder)
    examples = KIND.encode(examples_of(PAIRS), tokenizer)
    assert [len(each) for each in examples.sequences] == [3, 2], "any number of them"
    assert list(examples.sequences[1]) == encode_texts(
        tokenizer, [("my shoe late", "a"), ("my shoe late", "b")]
    )


@pytest.mark.parametrize("column", ["context", "question"])
def test_one_of_both_is_enough(tiny_encoder: Path, column: str) -> None:
    kind = MultipleChoice(**{f"{column}_column": "premise"})  # type: ignore[arg-type]
    assert kind.columns == ("premise", "choices", "label")
    given, label = kind.parse("the lamp", ["a", "b"], 1)
    assert given == {column: "the lamp", "choices": ["a", "b"]}
    tokenizer = tokenizer_of(tiny_encoder)
    (sequences,) = kind.encode(examples_of([(given, label)]), tokenizer).sequences
    assert list(sequences) == encode_texts(tokenizer, [("the lamp", "a"), ("the lamp", "b")])


def test_choices_that_are_encoded_by_themselves_share_context_and_question(tiny_encoder: Path) -> None:
    tokenizer = tokenizer_of(tiny_encoder)
    kind = MultipleChoice(context_column="context", question_column="question", is_bi_encoder=True)
    examples = kind.encode(examples_of(PAIRS), tokenizer)
    assert list(examples.sequences[1]) == encode_texts(tokenizer, ["my shoe late", "a", "b"])
    assert examples.rows_of(0).tolist() == [[0, 1], [0, 2], [0, 3]]
    batch = collate(examples, [0, 1], pad_token_id=0)
    assert batch.example_ids.tolist() == [0, 0, 0, 1, 1]
    torch.testing.assert_close(kind.loss(torch.zeros(5, 1), batch), torch.tensor([3.0, 2.0]).log().mean())


def test_choices_compete_within_their_example(tiny_encoder: Path) -> None:
    batch = collate(KIND.encode(examples_of(PAIRS), tokenizer_of(tiny_encoder)), [0, 1], pad_token_id=0)
    logits = torch.randn(5, 1)
    first = -functional.log_softmax(logits[:3, 0], dim=0)[1]
    second = -functional.log_softmax(logits[3:, 0], dim=0)[0]
    torch.testing.assert_close(KIND.loss(logits, batch), (first + second) / 2)


def test_accuracy_counts_examples_and_forecasts_their_best_choices(tiny_encoder: Path) -> None:
    examples = KIND.encode(examples_of(PAIRS), tokenizer_of(tiny_encoder))
    logits = [np.array([[0.0], [1.0], [0.5]], dtype=np.float32), np.array([[0.0], [1.0]], dtype=np.float32)]
    assert KIND.measure(logits, examples) == {"accuracy": 0.5}
    calibration = KIND.calibrate(logits, examples)
    forecasts = KIND.forecasts(logits, examples, calibration)
    assert forecasts.outcomes.tolist() == [1, 0]
    assert forecasts.probabilities[1] == pytest.approx(1 / (1 + np.exp(-1 / calibration.temperature)))


@pytest.mark.parametrize("label", [1, 1.0, "1"])
def test_the_label_is_the_number_of_a_choice(label: object) -> None:
    assert KIND.parse("x", "y", ["a", "b"], label)[1] == 1


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (("x", "y", [], 0), "choices should be at least two, found 0"),
        (("x", "y", ["a"], 0), "choices should be at least two, found 1"),
        (("x", "y", ["a", " "], 0), "choices[1] is empty"),
        (("x", "y", "a b", 0), "choices should be a list, found 'a b'"),
        (("x", "y", ["a", "b"], 2), "label 2 is no choice; known: 0 to 1"),
        (("x", "y", ["a", "b"], -1), "label -1 is no choice; known: 0 to 1"),
        (("x", "y", ["a", "b"], 0.5), "label 0.5 is no choice; known: 0 to 1"),
        (("x", "y", ["a", "b"], None), "label is missing (null or NaN)"),
        (("", "y", ["a", "b"], 0), "context is empty"),
        (("x", None, ["a", "b"], 0), "question should be text, found None"),
        (("x", "y", ["a", "b\ud83d"], 0), "choices[1] has half a surrogate pair at character 1"),
    ],
)
def test_a_row_that_does_not_fit_says_why(cells: tuple[object, ...], fault: str) -> None:
    with pytest.raises(RowError) as caught:
        KIND.parse(*cells)
    assert str(caught.value) == fault


def test_a_million_characters_and_a_nul_are_choices(tiny_encoder: Path) -> None:
    given = {"context": "lamp", "choices": ["a" * 10**6, "a\x00b"]}
    examples = KIND.encode(examples_of([(given, 0)]), tokenizer_of(tiny_encoder))
    assert examples.lengths[0] <= 24
