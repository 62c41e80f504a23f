from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.training.kinds.support import examples_of, tokenizer_of
from training.batches import collate
from training.kinds.base import Calibration, RowError
from training.kinds.multi_label import MultiLabel
from training.kinds.texts import Texts
from training.losses import MultiLabelLoss

KIND = MultiLabel(texts=Texts(columns=("text",)), labels=("late", "broken", "refund"))
PAIRS = [({"text": "the lamp"}, (0, 2)), ({"text": "my shoe"}, ()), ({"text": "a parcel"}, (0,))]
LOGITS = [np.array([row], dtype=np.float32) for row in ([2.0, -1, 0.1], [-1.0, 0.4, -3], [1.0, -1, -1])]


def test_the_labels_of_a_row_are_a_set_in_the_declared_order() -> None:
    assert KIND.parse("x", ["refund", "late", "refund"]) == ({"text": "x"}, (0, 2))
    assert KIND.parse("x", [])[1] == ()
    numbered = MultiLabel(texts=KIND.texts, labels=("0", "1"))
    assert numbered.parse("x", [1, 0])[1] == (0, 1)


def test_targets_say_of_every_label_whether_it_is_present(tiny_encoder: Path) -> None:
    examples = KIND.encode(examples_of(PAIRS), tokenizer_of(tiny_encoder))
    batch = collate(examples, [1, 0], pad_token_id=0)
    assert batch.targets.tolist() == [[0, 0, 0], [1, 0, 1]]
    logits = torch.randn(2, 3)
    expected = functional.binary_cross_entropy_with_logits(logits, batch.targets)
    torch.testing.assert_close(KIND.loss(logits, batch), expected)


def test_metrics_are_by_hand_and_go_by_the_thresholds(tiny_encoder: Path) -> None:
    examples = KIND.encode(examples_of(PAIRS), tokenizer_of(tiny_encoder))
    found = KIND.measure(LOGITS, examples)
    # Given at one half: {late, refund}, {broken}, {late}; right: {late, refund}, {}, {late}.
    assert found == pytest.approx(
        {"f1_micro": 6 / 7, "f1_macro": 2 / 3, "average_precision": 1.0, "exact_match": 2 / 3}
    )
    assert tuple(found) == KIND.metrics
    strict = KIND.measure(LOGITS, examples, Calibration(thresholds=(0.5, 0.9, 0.5)))
    assert strict["exact_match"] == 1


def test_calibration_finds_thresholds_that_part_what_can_be_parted(tiny_encoder: Path) -> None:
    examples = KIND.encode(examples_of(PAIRS), tokenizer_of(tiny_encoder))
    calibration = KIND.calibrate(LOGITS, examples)
    assert calibration.thresholds is not None
    assert calibration.thresholds[1] == 0.5, "never present in dev"
    assert KIND.measure(LOGITS, examples, calibration)["f1_micro"] >= 6 / 7
    forecasts = KIND.forecasts(LOGITS, examples, calibration)
    assert forecasts.probabilities.shape == forecasts.outcomes.shape == (9,)


def test_balanced_weights_count_the_rows_of_train() -> None:
    kind = MultiLabel(
        texts=KIND.texts, labels=KIND.labels, objective=MultiLabelLoss(class_weights="balanced")
    )
    assert kind.adapted(examples_of(PAIRS)).objective.class_weights == pytest.approx((1 / 2, 1.0, 2.0))


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (("x", ["late", "lost"]), "labels[1] 'lost' is none of late, broken, refund"),
        (("x", "late"), "labels should be a list, found 'late'"),
        (("x", None), "labels should be a list, found None"),
        (("x", [None]), "labels[0] is missing (null or NaN)"),
        (("", ["late"]), "text is empty"),
        (("\ud800", []), "text has half a surrogate pair at character 0"),
    ],
)
def test_a_row_that_does_not_fit_says_why(cells: tuple[object, ...], fault: str) -> None:
    with pytest.raises(RowError) as caught:
        KIND.parse(*cells)
    assert str(caught.value) == fault


def test_a_million_characters_and_a_nul_are_text(tiny_encoder: Path) -> None:
    pairs = [({"text": "a" * 10**6}, (0,)), ({"text": "a\x00b"}, ())]
    assert KIND.encode(examples_of(pairs), tokenizer_of(tiny_encoder)).lengths[0] <= 24
