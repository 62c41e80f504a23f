"""A tiny random encoder, tiny data, a tiny trained bundle: the whole line in seconds, without a network."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from training.commands.fit import fit

SENTENCES = """
    the a my your order parcel refund lamp shoe colour arrived late broken never always great awful slow
    please help where is was not and or with very blue red small big yesterday today money back sent wrong
    size quick
"""
WORDS = SENTENCES.split()
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [str(digit) for digit in range(10)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_LENGTH = 24


def write_tiny_encoder(
    folder: Path, *, seed: int = 0, hidden_size: int = 32, max_positions: int = 64
) -> Path:
    """A transformers folder with a random two-layer BERT and its WordPiece tokenizer."""
    tokens = dict.fromkeys([*SPECIAL, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=max_positions,
        pad_token_id=0,
        initializer_range=0.3,  # the usual 0.02 makes every text's vector nearly the same
    )
    folder.mkdir(parents=True)
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    # As published files carry it; training and service must switch it off.
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def random_text(generator: torch.Generator, *, max_words: int = 14) -> str:
    """Words of the tiny vocabulary, and now and then one that it must split."""
    count = int(torch.randint(1, max_words + 1, (), generator=generator))
    picks = torch.randint(0, len(WORDS) + 3, (count,), generator=generator).tolist()
    return " ".join([*WORDS, "zebra42", "qwerty", "Ünïcode"][pick] for pick in picks)


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> str:
    """JSON lines. Returns the path as the YAML file names it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def tiny_rows(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Rows that serve every task: two texts, a label each kind can read."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        text_a, text_b = random_text(generator), random_text(generator)
        rows.append(
            {
                "text": text_a,
                "text_a": text_a,
                "text_b": text_b,
                "mood": ["bad", "fine", "good"][len(text_a) % 3],
                "same": ["no", "yes"][len(text_b) % 2],
                "value": round(5 * (len(text_a) % 11) / 10, 1),
            }
        )
    return rows


def tiny_config(folder: Path, encoder: Path, *, rows: int = 48) -> dict[str, Any]:
    """A configuration with every kind, head, pooling and pair mode; its data is written into ``folder``."""
    data = {
        "train": write_rows(folder / "train.jsonl", tiny_rows(rows, seed=1)),
        "dev": write_rows(folder / "dev.jsonl", tiny_rows(20, seed=2)),
    }
    mood = {"data": data, "label": "mood", "labels": ["bad", "fine", "good"]}
    same = {"data": data, "label": "same", "labels": ["no", "yes"]}
    value = {"data": data, "label": "value"}
    mlp = {"type": "mlp", "hidden": [16]}
    bi = {"pair": "bi_encoder"}
    return {
        "name": "tiny",
        "encoder": {"model": str(encoder), "max_length": MAX_LENGTH, "pooling": "mean"},
        "tasks": {
            "sentiment": {"kind": "classification", **mood},
            "topic": {"kind": "classification", **same, "head": mlp, "pooling": "cls"},
            "stars": {"kind": "regression", **value, "range": [0, 5]},
            "length": {"kind": "regression", **value},
            "paraphrase": {"kind": "pair_classification", "pair": "cross_encoder", **same},
            "entailment": {"kind": "pair_classification", "pair": "cross_encoder", **mood, "pooling": "cls"},
            "duplicate": {"kind": "pair_classification", **bi, **same, "combine": "full", "head": mlp},
            "similarity": {"kind": "pair_regression", **bi, **value, "range": [0, 5], "combine": "cosine"},
            "related": {"kind": "pair_regression", **bi, **value, "combine": "concat"},
            "overlap": {"kind": "pair_regression", **bi, **value},
        },
        "training": {"steps": 12, "batch_size": 8, "evaluate_every": 4, "sampling": {"name": "round_robin"}},
        "selection": {"fraction": 0.2},
    }


def write_config(file: Path, config: dict[str, Any]) -> Path:
    """The configuration as a YAML file."""
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return file


def train_tiny_run(folder: Path, *, encoder: Path | None = None, **training: Any) -> Path:
    """Train a tiny run into ``folder/run``. ``training`` overrides the section of that name."""
    encoder = encoder or write_tiny_encoder(folder / "encoder")
    config = tiny_config(folder, encoder)
    config["training"] |= training
    file = write_config(folder / "tiny.yaml", config)
    fit(file, folder / "run", resume=False, console=Console(quiet=True))
    return folder / "run"


def build_tiny_bundle(bundle: Path, *, version: str = "1") -> Path:
    """Train and export a tiny bundle with ten tasks. Its working files lie beside it."""
    from export.bundle import export_bundle  # onnx takes seconds to import, which tests of training save

    run = train_tiny_run(bundle.parent / f"{bundle.name}-work")
    export_bundle(run, bundle, version=version)
    return bundle
