# ruff: noqa: E501 - messages are compared whole
"""A task's section of the YAML file becomes the head it describes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.layouts import lay_out
from training.assembly.data import build_tasks
from training.assembly.heads import build_heads
from training.config.file import dump_config, parse_config
from training.encoder import SharedEncoder, build_encoder
from training.errors import ConfigError
from training.heads import (
    AttentionPooling,
    BiEncoderHead,
    LayerMix,
    MaxPooling,
    PooledHead,
    SegmentHead,
    SubEncodedTokenHead,
    TokenHead,
)
from training.model import HeadSpec

WIDTH = 32
"""Of the tiny encoder, which has two layers and four attention heads."""
BilinearHead = "examples.custom_head.heads:BilinearHead"
HERE = "tests.training.assembly.test_heads"

ONE = {"kind": "classification", "labels": ["bad", "fine", "good"]}
VALUE = {"kind": "regression", "range": [0, 5]}
CROSS = {"kind": "pair_classification", "pair": "cross_encoder", "labels": ["no", "yes"]}
BI = {"kind": "pair_classification", "pair": "bi_encoder", "labels": ["no", "yes"]}
TAGS = {"kind": "tagging", "scheme": "plain", "labels": ["NOUN", "VERB", "X"]}
SPANS = {"kind": "question_answering"}
CHOICE = {"kind": "multiple_choice", "question": "question"}

Build = Callable[..., HeadSpec]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SharedEncoder:
    return build_encoder(tiny_encoder)


@pytest.fixture
def raw(tmp_path: Path, tiny_encoder: Path) -> Callable[..., dict[str, Any]]:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")

    def make(*, encoder_pooling: str = "mean", **tasks: dict[str, Any]) -> dict[str, Any]:
        data = {"data": {"train": str(file), "dev": str(file)}}
        return {
            "name": "heads",
            "encoder": {"model": str(tiny_encoder), "max_length": 24, "pooling": encoder_pooling},
            "tasks": {name: {**data, **task} for name, task in tasks.items()},
        }

    return make


@pytest.fixture
def build(raw: Callable[..., dict[str, Any]], encoder: SharedEncoder) -> Build:
    def make(task: dict[str, Any], *, encoder_pooling: str = "mean") -> HeadSpec:
        config = parse_config(raw(task=task, encoder_pooling=encoder_pooling))
        return build_heads(config, build_tasks(config), encoder)["task"]

    return make


def faults_of(build: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        build()
    return caught.value.faults


def hf(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "hf", "class": f"AutoModelFor{name}", "parameters": parameters}


SUB = {"type": "sub_encoder", "layers": 2, "num_heads": 2, "intermediate_size": 20}


@pytest.mark.parametrize(
    ("task", "head", "pooling"),
    [
        (ONE, PooledHead, "mean"),
        ({**ONE, "pooling": "max"}, PooledHead, "max"),
        ({**ONE, "pooling": "pooler"}, PooledHead, "pooler"),
        ({**ONE, "pooling": "layer_mix"}, PooledHead, "mean_layers"),
        ({**BI, "pooling": "layer_mix_cls"}, BiEncoderHead, "cls_layers"),
        ({**ONE, "pooling": "attention"}, SegmentHead, None),
        ({**ONE, "head": SUB}, SegmentHead, None),
        ({**CROSS, "head": SUB, "pooling": "attention"}, SegmentHead, None),
        ({**ONE, "head": hf("SequenceClassification")}, PooledHead, "pooler"),
        ({**ONE, "head": hf("SequenceClassification"), "pooling": "mean"}, PooledHead, "mean"),
        ({**ONE, "head": hf("SequenceClassification"), "pooling": "attention"}, SegmentHead, None),
        ({**ONE, "head": hf("SequenceClassification"), "pooling": "layer_mix"}, PooledHead, "mean_layers"),
        ({**VALUE, "head": hf("SequenceClassification")}, PooledHead, "pooler"),
        (TAGS, TokenHead, None),
        ({**TAGS, "head": {"type": "mlp", "hidden": [8]}}, TokenHead, None),
        ({**TAGS, "head": SUB}, SubEncodedTokenHead, None),
        ({**TAGS, "head": hf("TokenClassification")}, TokenHead, None),
        ({**SPANS, "head": hf("QuestionAnswering")}, TokenHead, None),
        ({**SPANS, "head": SUB}, SubEncodedTokenHead, None),
        ({**CHOICE, "head": hf("MultipleChoice")}, PooledHead, "pooler"),
        ({**CHOICE, "head": hf("SequenceClassification")}, PooledHead, "pooler"),
    ],
)
def test_a_head_is_what_its_section_says(
    build: Build, task: dict[str, Any], head: type[nn.Module], pooling: str | None
) -> None:
    spec = build(task)
    assert type(spec.head) is head
    assert spec.pooling == pooling


def test_a_sub_encoder_has_the_layers_it_was_given_and_the_encoders_number_of_heads_by_default(
    build: Build,
) -> None:
    given = build({**ONE, "head": SUB, "pooling": "max"}).head
    assert isinstance(given, SegmentHead)
    assert isinstance(given.pooling, MaxPooling)
    assert given.pooling.max_length == 24
    layers: Any = given.layers
    assert [layer.num_heads for layer in layers.layers] == [2, 2]
    assert layers.layers[0].intermediate.out_features == 20
    default: Any = build({**ONE, "head": {"type": "sub_encoder"}}).head
    assert [layer.num_heads for layer in default.layers.layers] == [4]
    assert default.layers.layers[0].intermediate.out_features == 4 * WIDTH


def test_a_learned_pooling_is_a_part_of_the_head(build: Build) -> None:
    attended: Any = build({**ONE, "pooling": "attention"}).head
    assert isinstance(attended.pooling, AttentionPooling)
    mixed: Any = build({**BI, "pooling": "layer_mix"}).head
    assert isinstance(mixed.mix, LayerMix)
    assert len(mixed.mix.weights) == 3, "the embeddings and two layers"


@pytest.mark.parametrize("task", [ONE, {**ONE, "head": SUB}, {**TAGS, "head": SUB}])
def test_dropout_is_what_the_head_says(build: Build, task: dict[str, Any]) -> None:
    spec = build({**task, "head": {**task.get("head", {"type": "linear"}), "dropout": 0.37}})
    assert {m.p for m in spec.head.modules() if isinstance(m, nn.Dropout)} == {0.37}


def test_a_bounded_value_stays_within_its_bounds_whatever_the_head(build: Build) -> None:
    custom = {"type": "custom", "class": f"{HERE}:Doubled"}
    for head in ({"type": "linear"}, hf("SequenceClassification"), SUB, custom):
        spec = build({**VALUE, "head": head})
        with torch.no_grad():
            for parameter in spec.head.parameters():
                parameter.mul_(50)
        inputs = {
            "pooled": 100 * torch.randn(64, WIDTH),
            "last_hidden_state": 100 * torch.randn(8, 5, WIDTH),
            "segment_ids": torch.arange(8).unsqueeze(1).expand(8, 5),
        }
        values = spec.head(*(inputs[name] for name in spec.head.input_names))  # type: ignore[union-attr]
        assert values.min() >= 0, head
        assert values.max() <= 5, head


@pytest.mark.parametrize(
    "task",
    [{**ONE, "head": SUB, "pooling": pooling} for pooling in ("cls", "mean", "max", "attention")]
    + [{**TAGS, "head": SUB}, {**TAGS}, {**SPANS, "head": SUB}, {**ONE, "pooling": "attention"}],
)
def test_a_heads_logits_are_the_same_packed_padded_and_alone(build: Build, task: dict[str, Any]) -> None:
    head: Any = build(task).head.eval()
    layout = lay_out([3, 7, 1, 5, 5, 2], row_len=11, hidden_size=WIDTH)

    def logits(inputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            answer: torch.Tensor = head(*inputs[: len(head.input_names)])
        return answer

    alone = [logits(layout.alone(index)) for index in range(6)]
    packed, padded = logits(layout.packed), logits(layout.padded)
    if packed.ndim == 2:
        torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(padded, torch.cat(alone), atol=1e-5, rtol=1e-5)
    else:
        for index, (row, start, length) in enumerate(layout.places):
            torch.testing.assert_close(packed[row, start : start + length], alone[index][0])
            torch.testing.assert_close(padded[index, :length], alone[index][0])


def test_every_head_survives_saving_and_its_configuration_a_round_trip(
    raw: Callable[..., dict[str, Any]], encoder: SharedEncoder
) -> None:
    tasks = {
        "sub": {**ONE, "head": SUB, "pooling": "attention"},
        "mix": {**BI, "pooling": "layer_mix"},
        "hf": {**TAGS, "head": hf("TokenClassification", classifier_dropout=0.3)},
        "own": {**BI, "head": {"type": "custom", "class": BilinearHead, "parameters": {"rank": 4}}},
    }
    config = parse_config(raw(**tasks))
    import yaml

    again = parse_config(yaml.safe_load(dump_config(config)))
    assert again == config
    first = nn.ModuleDict({k: v.head for k, v in build_heads(config, build_tasks(config), encoder).items()})
    second = nn.ModuleDict({k: v.head for k, v in build_heads(again, build_tasks(again), encoder).items()})
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_worked_example_is_a_bilinear_form(build: Build) -> None:
    head: Any = build(
        {**BI, "head": {"type": "custom", "class": BilinearHead, "parameters": {"rank": 4}}}
    ).head
    head.eval()
    a, b = torch.randn(2, 5, WIDTH)
    left, right = head.left.weight.reshape(2, 4, WIDTH), head.right.weight.reshape(2, 4, WIDTH)
    expected = torch.einsum("nh,krh,krj,nj->nk", a, left, right, b) + head.bias
    torch.testing.assert_close(head(a, b), expected, atol=1e-4, rtol=1e-4)


class Doubled(nn.Module):
    """A correct head over a vector."""

    input_names = ("pooled",)

    def __init__(self, *, hidden_size: int, num_outputs: int, factor: float = 2.0) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, num_outputs)
        self.factor = factor

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        doubled: torch.Tensor = self.factor * self.linear(pooled)
        return doubled


class Nameless(nn.Module):
    """Declares no inputs."""


class OneTooMany(Doubled):
    """Gives a column too many."""

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return torch.cat([super().forward(pooled), pooled[:, :1]], dim=1)


class Loud(Doubled):
    """Fails."""

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such luck")


def own(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "custom", "class": f"{HERE}:{name}", "parameters": parameters}


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ({**TAGS, "pooling": "mean"}, "pooling: kind tagging has logits for every token and pools none"),
        ({**BI, "pooling": "attention"}, "pooling: 'attention' reads the token states of one sequence"),
        ({**BI, "head": SUB}, "head.type: 'sub_encoder' reads one sequence, but a bi_encoder's texts are two"),
        ({**BI, "head": hf("SequenceClassification")}, "head.type: 'hf' reads one sequence"),
        ({**ONE, "head": SUB, "pooling": "pooler"},
         "pooling: a sub_encoder pools the states of its own last layer, found 'pooler'; known: cls, mean, max"),
        ({**ONE, "head": hf("SequenceClasification")},
         "head.class: transformers has no class with a head named 'AutoModelForSequenceClasification'; did you"),
        ({**ONE, "head": {"type": "hf"}}, "head.class: Field required"),
        ({**ONE, "head": {"type": "hf", "class": "BertForTokenClassification", "parametrs": {}}},
         "head.parametrs: unknown key; did you mean 'parameters'? known: type, class, parameters"),
        ({**ONE, "head": {**SUB, "layers": 0}}, "head.layers: Input should be greater than 0"),
        ({**ONE, "pooling": "median"}, "pooling: Input should be 'cls', 'mean', 'max', 'pooler', 'attention'"),
        ({**ONE, "head": {"type": "custom", "class": "nowhere"}},
         "head.class: expected package.module:Class, found 'nowhere'"),
        ({**ONE, "head": {"type": "custom", "class": "no.where:Head"}},
         "head.class: module 'no.where' cannot be imported: ModuleNotFoundError"),
        ({**ONE, "head": own("Dobled")}, f"head.class: module '{HERE}' has no torch.nn.Module named 'Dobled'; it "),
        ({**ONE, "head": own("Nameless")}, f"head.class: {HERE}:Nameless should declare input_names as one of"),
        ({**TAGS, "head": own("Doubled")}, f"head.class: {HERE}:Doubled reads ('pooled',), expected"),
        ({**BI, "head": own("Doubled")}, f"head.class: {HERE}:Doubled reads ('pooled',), expected"),
        ({**BI, "combine": "full", "head": {"type": "custom", "class": BilinearHead}},
         "combine: a custom head combines by itself; leave it out"),
        ({**ONE, "head": own("Doubled"), "pooling": "layer_mix"}, "pooling: a custom head has no layer_mix"),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_is_a_mistake_of_the_file(
    raw: Callable[..., dict[str, Any]], task: dict[str, Any], fault: str
) -> None:
    faults = faults_of(lambda: parse_config(raw(task=task)))
    assert any(each.startswith(f"tasks.task.{fault}") for each in faults), faults


def test_mistakes_of_several_heads_are_named_at_once(raw: Callable[..., dict[str, Any]]) -> None:
    faults = faults_of(lambda: parse_config(raw(a={**BI, "head": SUB}, b={**ONE, "head": own("Nameless")})))
    assert [fault.split(":")[0] for fault in faults] == ["tasks.a.head.type", "tasks.b.head.class"]


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ({**ONE, "head": {"type": "sub_encoder", "num_heads": 5}}, "should divide the hidden size 32. Found 5"),
        ({**ONE, "head": {"type": "hf", "class": "RobertaForSequenceClassification"}},
         "is of family 'roberta', but the encoder is of 'bert'"),
        ({**ONE, "head": hf("SequenceClassification", clasifier_dropout=0.1)}, "has no clasifier_dropout"),
        ({**ONE, "head": hf("TokenClassification")},
         "from pooled (3, 32) it gives (3, 1, 3), expected logits of shape (3, 3)"),
        ({**TAGS, "head": hf("SequenceClassification")}, "expected logits of shape (2, 5, 3)"),
        ({**ONE, "head": own("OneTooMany")}, "it gives (3, 4), expected logits of shape (3, 3)"),
        ({**ONE, "head": own("Loud")}, "it fails on pooled (3, 32): RuntimeError: no such luck"),
        ({**ONE, "head": own("Doubled", colour="red")}, "cannot be constructed: TypeError"),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_the_encoder_is_refused_before_any_training(
    build: Build, task: dict[str, Any], fault: str
) -> None:
    faults = faults_of(lambda: build(task))
    assert len(faults) == 1
    assert faults[0].startswith("tasks.task.head: ")
    assert fault in faults[0]


def test_a_sub_encoder_needs_a_pooling_of_its_own_where_the_encoders_is_its_pooler(build: Build) -> None:
    (fault,) = faults_of(lambda: build({**ONE, "head": SUB}, encoder_pooling="pooler"))
    assert "set the task's pooling to one of cls, mean, max, attention" in fault
