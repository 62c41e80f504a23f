"""The picture and the numbers of who uses what."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.architecture import architecture, gate_table
from tests.support.tiny import tiny_config
from tests.training.test_model import model_of

SmallConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def small_config(tmp_path: Path, tiny_encoder: Path) -> SmallConfig:
    def build() -> dict[str, Any]:
        config = tiny_config(tmp_path, tiny_encoder, rows=8)
        config["tasks"] = {name: config["tasks"][name] for name in ("sentiment", "duplicate", "stars")}
        return config

    return build


def drawn(raw: dict[str, Any]) -> tuple[str, list[str]]:
    lines = architecture(model_of(raw))
    text = "\n".join(lines)
    return re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)[0], [
        line for line in lines if line[0:1] == "|"
    ]


def test_without_a_layer_every_head_reads_the_encoder(small_config: SmallConfig) -> None:
    picture, table = drawn(small_config())
    assert re.findall(r"encoder --> head_(\w+)", picture) == ["sentiment", "duplicate", "stars"]
    assert table[2] == "| sentiment | the encoder | 99 | 99 |"


def test_an_arrow_goes_from_each_part_to_the_heads_that_use_it(small_config: SmallConfig) -> None:
    raw = small_config() | {"sharing": {"name": "cgc", "width": 4, "tasks": ["sentiment", "stars"]}}
    picture, table = drawn(raw)
    parts = dict(re.findall(r'(part_\d+)\["(.*?)<br>', picture))
    edges = {(parts[part], head) for part, head in re.findall(r"(part_\d+) --> head_(\w+)", picture)}
    assert edges == {
        ("level 1: experts of sentiment", "sentiment"), ("level 1: gates of sentiment", "sentiment"),
        ("level 1: experts of stars", "stars"), ("level 1: gates of stars", "stars"),
        ("level 1: experts of shared", "sentiment"), ("level 1: experts of shared", "stars"),
    }  # fmt: skip
    assert re.findall(r"encoder --> head_(\w+)", picture) == ["duplicate"]
    assert "experts of shared<br>132 parameters, shared" in picture
    own = 132 + 64 + 15  # an expert, a gate over two experts, a head of three labels
    assert table[2] == f"| sentiment | cgc (1 + 1 shared experts) | {own + 132} | {own} |"


def test_gates_are_drawn_with_their_weights() -> None:
    use = {"gates.stars": {"weights": {"expert_0": 0.75, "expert_1": 0.25}, "entropy": 0.5}}
    assert "| gates.stars | 0.50 | expert_0 ████████ 0.75, expert_1 ██ 0.25 |" in gate_table(use)
    assert gate_table({}) == []
