"""Tiny data of every kind, and a configuration with every kind, head and pooling on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from tests.support.tiny import WORDS, random_text, write_config, write_rows
from training.commands.fit import fit

LABELS = ["late", "broken", "refund"]
TAGS = ["O", "B-THING", "I-THING"]
PARTS = ["NOUN", "VERB", "X"]
STRIDE = 4
SUB_ENCODER = {"type": "sub_encoder", "layers": 1, "num_heads": 2, "intermediate_size": 48}

Rows = Callable[[int, torch.Generator], list[dict[str, Any]]]


def _pick(generator: torch.Generator, size: int) -> int:
    return int(torch.randint(size, (), generator=generator))


def _text_row(generator: torch.Generator) -> dict[str, Any]:
    text, other = random_text(generator), random_text(generator)
    return {
        "text": text,
        "text_a": text,
        "text_b": other,
        "mood": ["bad", "fine", "good"][len(text) % 3],
        "same": ["no", "yes"][len(other) % 2],
        "value": round(5 * (len(text) % 11) / 10, 1),
        "labels": [label for number, label in enumerate(LABELS) if (len(text) >> number) % 2],
    }


def _ranking_rows(query: int, generator: torch.Generator) -> list[dict[str, Any]]:
    count = 2 + _pick(generator, 4)
    text = random_text(generator, max_words=5)
    return [
        {"query": text, "document": random_text(generator), "label": int(number == 0), "group": query}
        for number in range(count)
    ]


def _tagged_row(generator: torch.Generator) -> dict[str, Any]:
    tokens = random_text(generator).split()
    tags = [TAGS[1] if len(token) % 3 == 0 else TAGS[0] for token in tokens]
    return {"tokens": tokens, "tags": tags, "parts": [PARTS[len(token) % 3] for token in tokens]}


def _question_row(generator: torch.Generator) -> dict[str, Any]:
    """A context of up to three windows; every third question has no answer."""
    words = random_text(generator, max_words=40).split()
    first = _pick(generator, len(words))
    chosen = " ".join(words[first : first + 2])
    start = len("".join(f"{word} " for word in words[:first]))
    has_answer = _pick(generator, 3) > 0
    return {
        "question": f"where is {WORDS[_pick(generator, len(WORDS))]}",
        "context": " ".join(words),
        "answers": [{"text": chosen, "start": start}] if has_answer else [],
    }


def _choice_row(generator: torch.Generator) -> dict[str, Any]:
    choices = [random_text(generator, max_words=4) for _ in range(2 + _pick(generator, 3))]
    return {
        "context": random_text(generator),
        "question": random_text(generator, max_words=3),
        "choices": choices,
        "label": _pick(generator, len(choices)),
    }


def _write(
    folder: Path, name: str, rows: Callable[[torch.Generator], list[dict[str, Any]]]
) -> dict[str, str]:
    return {
        split: write_rows(folder / f"{name}.{split}.jsonl", rows(torch.Generator().manual_seed(seed)))
        for split, seed in (("train", 1), ("dev", 2))
    }


def write_kinds(folder: Path, *, rows: int = 24) -> dict[str, dict[str, Any]]:
    """Data of every kind. Returns, by name, the ``data`` section of its tasks."""
    texts = _write(folder, "texts", lambda g: [_text_row(g) for _ in range(rows)])
    tagged = _write(folder, "tagged", lambda g: [_tagged_row(g) for _ in range(rows)])
    questions = _write(folder, "questions", lambda g: [_question_row(g) for _ in range(rows)])
    choices = _write(folder, "choices", lambda g: [_choice_row(g) for _ in range(rows)])
    ranking = _write(
        folder, "ranking", lambda g: [row for q in range(rows // 2) for row in _ranking_rows(q, g)]
    )
    return {
        "texts": texts, "tagged": tagged, "questions": questions, "choices": choices, "ranking": ranking,
    }  # fmt: skip


def kinds_config(folder: Path, encoder: Path, *, rows: int = 24) -> dict[str, Any]:
    """A configuration with every kind; its data is written into ``folder``."""
    data = write_kinds(folder, rows=rows)

    def on(name: str, **keys: Any) -> dict[str, Any]:
        return {"data": data[name], **keys}

    def hf(name: str) -> dict[str, Any]:
        return {"type": "hf", "class": f"AutoModelFor{name}", "parameters": {"hidden_dropout_prob": 0.2}}

    bilinear = {"type": "custom", "class": "examples.custom_head.heads:BilinearHead"}
    tasks = {
        "mood": on("texts", kind="classification", label="mood", labels=["bad", "fine", "good"],
                   head=SUB_ENCODER, pooling="max"),
        "issues": on("texts", kind="multi_label", labels=LABELS, pooling="layer_mix"),
        "stars": on("texts", kind="regression", label="value", range=[0, 5],
                    head=hf("SequenceClassification")),
        "same": on("texts", kind="pair_classification", pair="cross_encoder", label="same",
                   labels=["no", "yes"], pooling="attention"),
        "close": on("texts", kind="pair_regression", pair="bi_encoder", label="value", head=bilinear,
                    pooling="max"),
        "relevance": on("ranking", kind="ranking", pair="bi_encoder", combine="cosine", group="group",
                        pooling="layer_mix_cls"),
        "answering": on("ranking", kind="ranking", pair="cross_encoder", loss="listwise"),
        "entities": on("tagged", kind="tagging", labels=TAGS, head=hf("TokenClassification")),
        "parts": on("tagged", kind="tagging", scheme="plain", label="parts", labels=PARTS, head=SUB_ENCODER),
        "answer": on("questions", kind="question_answering", stride=STRIDE),
        "next": on("choices", kind="multiple_choice", context="context", question="question",
                   head=hf("MultipleChoice")),
        "step": on("choices", kind="multiple_choice", context="context", pair="bi_encoder", combine="cosine"),
    }  # fmt: skip
    return {
        "name": "kinds",
        "encoder": {"model": str(encoder), "max_length": 24, "pooling": "mean"},
        "tasks": tasks,
        "training": {"steps": 2, "batch_size": 4, "batches": "metabatch", "evaluate_every": 2},
        "selection": {"fraction": 0.2},
    }


def train_kinds_run(folder: Path, *, encoder: Path) -> Path:
    """Train a run with every kind into ``folder/run``."""
    file = write_config(folder / "kinds.yaml", kinds_config(folder, encoder))
    fit(file, folder / "run", resume=False, console=Console(quiet=True))
    return folder / "run"
