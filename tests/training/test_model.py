from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.assembly.trained import build_model
from training.batches import Batch
from training.config.file import parse_config
from training.encoder import load_encoder
from training.model import MultitaskModel

SmallConfig = Callable[..., dict[str, Any]]
LABELS = {"kind": "pair_regression", "pair": "bi_encoder", "label": "value"}


def model_of(raw: dict[str, Any]) -> MultitaskModel:
    config = parse_config(raw)
    return build_model(config, load_encoder(config.encoder.model))


def batch_of(*sequences: list[int], rows: list[list[int]] | None = None) -> Batch:
    input_ids = torch.tensor(sequences)
    return Batch(
        input_ids=input_ids,
        attention_mask=(input_ids != 0).long(),
        token_type_ids=torch.zeros_like(input_ids),
        rows=torch.tensor(rows or [[number] for number in range(len(sequences))]),
    )


ONE, TWO = [2, 5, 6, 3, 0], [2, 9, 12, 14, 3]


def test_a_tasks_loss_moves_the_encoder_and_its_own_head_alone(small_config: SmallConfig) -> None:
    model = model_of(small_config())
    model("sentiment", batch_of(ONE, TWO)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.heads["sentiment"].parameters())
    assert any(
        parameter.grad is not None and parameter.grad.any() for parameter in model.encoder.parameters()
    )
    others = [parameter for name in ("duplicate", "stars") for parameter in model.heads[name].parameters()]
    assert all(parameter.grad is None for parameter in others)


def test_frozen_layers_get_no_gradient_and_those_above_do(small_config: SmallConfig) -> None:
    raw = small_config()
    raw["encoder"]["frozen_layers"] = 1
    model = model_of(raw)
    model("sentiment", batch_of(ONE, TWO)).sum().backward()
    moved = {name for name, parameter in model.encoder.named_parameters() if parameter.grad is not None}
    assert moved
    assert all(".layer.1." in name for name in moved)


def test_a_frozen_encoder_gets_no_gradient_and_no_dropout(small_config: SmallConfig) -> None:
    raw = small_config()
    raw["encoder"] |= {"train": "frozen", "frozen_layers": 1}
    model = model_of(raw).train()
    assert model.heads.training
    assert model.num_trained == sum(parameter.numel() for parameter in model.heads.parameters())
    assert not any(module.training for module in model.encoder.modules())
    first, second = (model.embed(batch_of(ONE), "mean") for _ in range(2))
    assert torch.equal(first, second)
    model("sentiment", batch_of(ONE, TWO)).sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


def test_a_full_encoder_has_its_dropout_in_training_alone(small_config: SmallConfig) -> None:
    model = model_of(small_config()).train()
    assert not torch.equal(model.embed(batch_of(ONE), "mean"), model.embed(batch_of(ONE), "mean"))
    model.eval()
    assert torch.equal(model.embed(batch_of(ONE), "mean"), model.embed(batch_of(ONE), "mean"))


@pytest.mark.parametrize(
    ("combine", "symmetric"), [("diff_product", True), ("cosine", True), ("concat", False)]
)
def test_swapping_a_bi_encoded_pair_changes_nothing_where_it_should_not(
    small_config: SmallConfig, combine: str, symmetric: bool
) -> None:
    raw = small_config(tasks=("overlap",))
    raw["tasks"]["overlap"]["combine"] = combine
    model = model_of(raw).eval()
    there = model("overlap", batch_of(ONE, TWO, rows=[[0, 1]]))
    back = model("overlap", batch_of(TWO, ONE, rows=[[0, 1]]))
    assert torch.allclose(there, back, atol=1e-6) is symmetric


def test_a_pairs_texts_are_encoded_as_any_single_text_is(small_config: SmallConfig) -> None:
    model = model_of(small_config(tasks=("overlap",))).eval()
    one, two = model.embed(batch_of(ONE, TWO), "mean")
    expected = model.heads["overlap"](one[None], two[None])
    torch.testing.assert_close(model("overlap", batch_of(ONE, TWO, rows=[[0, 1]])), expected)


def test_a_task_reads_its_own_pooling_and_else_the_encoders(small_config: SmallConfig) -> None:
    model = model_of(small_config(tasks=("sentiment", "topic")))
    assert model.poolings == {"sentiment": "mean", "topic": "cls"}


@pytest.mark.parametrize("combine", ["concat", "diff_product", "full", "cosine"])
def test_every_combine_fits_its_head(small_config: SmallConfig, combine: str, tmp_path: Path) -> None:
    raw = small_config(tasks=("overlap",))
    raw["tasks"]["overlap"] |= {"combine": combine, "head": {"type": "mlp", "hidden": [5]}}
    model = model_of(raw).eval()
    assert model("overlap", batch_of(ONE, TWO, rows=[[0, 1], [1, 1]])).shape == (2, 1)
