import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from loadtests.bundle import bench_rows
from loadtests.peers.models import TASKS, peers_config
from loadtests.peers.standard import standard_model, write_tokenizer
from tests.support.tiny import random_text, write_tiny_encoder
from training.assembly.trained import build_model
from training.config.file import parse_config
from training.encoder import load_encoder
from training.model import MultitaskModel

TEMPERATURE = 2.5


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_encoder(tmp_path_factory.mktemp("peers") / "encoder")


@pytest.fixture(scope="module")
def model(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> MultitaskModel:
    data = tmp_path_factory.mktemp("data") / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in bench_rows()))
    raw = peers_config(str(data))
    raw["encoder"] |= {"model": str(encoder_folder), "max_length": 24}
    torch.manual_seed(0)
    return build_model(parse_config(raw), load_encoder(str(encoder_folder))).eval()


@pytest.mark.parametrize("task", TASKS)
@torch.no_grad()
def test_a_standard_class_computes_our_scores(encoder_folder: Path, model: MultitaskModel, task: str) -> None:
    labels = [f"label_{index}" for index in range(TASKS[task])]
    standard = standard_model(model, task, labels, temperature=TEMPERATURE)
    tokenizer = Tokenizer.from_file(str(encoder_folder / "tokenizer.json"))
    tokenizer.no_padding()
    text = random_text(torch.Generator().manual_seed(1))
    input_ids = torch.tensor([tokenizer.encode(text).ids])
    mask = torch.ones_like(input_ids)
    output = model.encoder(input_ids, mask, torch.zeros_like(input_ids))
    ours = (model.heads[task](output.pooler_output) / TEMPERATURE).softmax(-1)
    theirs = standard(input_ids=input_ids, attention_mask=mask).logits.softmax(-1)
    torch.testing.assert_close(theirs, ours)
    assert standard.config.id2label == dict(enumerate(labels))


def test_the_tokenizer_neither_pads_nor_truncates(encoder_folder: Path, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, encoder_folder / "tokenizer.json", max_length=24)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("lamp").tokens == ["[CLS]", "lamp", "[SEP]"]
    assert len(tokenizer.encode("lamp " * 100).ids) == 102
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 24
    vocabulary = (tmp_path / "vocab.txt").read_text().split("\n")
    assert all(vocabulary[number] == token for token, number in tokenizer.get_vocab().items())
