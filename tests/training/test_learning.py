"""Every kind in one run: all of them learn, and an interrupted run continues exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.tiny import write_rows
from tests.support.tiny_kinds import kinds_config
from tests.training.conftest import Recorder, start_run


def config_of(folder: Path, encoder: Path, **training: Any) -> dict[str, Any]:
    raw = kinds_config(folder, encoder, rows=12)
    raw["training"] |= training
    return raw


def learnable_config(folder: Path, encoder: Path) -> dict[str, Any]:
    """A task of each kind beyond one label or value, whose answer shows in the words."""
    generator = np.random.default_rng(0)

    def words(count: int) -> list[str]:
        return generator.choice(["the", "my", "order", "parcel", "shoe", "late", "big"], size=count).tolist()

    def text(*given: str) -> str:
        return " ".join(generator.permutation([*words(3), *given]).tolist())

    def sets() -> list[dict[str, Any]]:
        chosen = [word for word in ("refund", "broken", "blue") if generator.random() < 0.5]
        return [{"text": text(*chosen), "labels": chosen}]

    def ranked() -> list[dict[str, Any]]:
        query = text()
        documents = [text("great"), text(), text(), text()]
        return [{"query": query, "document": each, "label": int("great" in each)} for each in documents]

    def tagged() -> list[dict[str, Any]]:
        tokens = [*words(3), "blue", "lamp", *words(1)]
        return [
            {"tokens": tokens, "tags": [{"blue": "B-x", "lamp": "I-x"}.get(word, "O") for word in tokens]}
        ]

    def questions() -> list[dict[str, Any]]:
        before = " ".join(["", *words(int(generator.integers(0, 6))), ""]).lstrip()
        context = f"{before}blue lamp {text()}"
        return [{"question": "where", "context": context,
                 "answers": [{"text": "blue lamp", "start": len(before)}]}]  # fmt: skip

    def choices() -> list[dict[str, Any]]:
        listed, label = [text() for _ in range(int(generator.integers(2, 5)))], 0
        label = int(generator.integers(len(listed)))
        listed[label] = text("great")
        return [{"question": text(), "choices": listed, "label": label}]

    def data(make: Callable[[], list[dict[str, Any]]]) -> dict[str, str]:
        rows = [row for _ in range(120) for row in make()]
        source = write_rows(folder / f"{make.__name__}.jsonl", rows)
        return {"train": source, "dev": source}

    return {
        "name": "learnable",
        "encoder": {"model": str(encoder), "max_length": 24},
        "tasks": {
            "sets": {"kind": "multi_label", "data": data(sets), "labels": ["refund", "broken", "blue"]},
            "pointwise": {"kind": "ranking", "data": data(ranked), "pair": "cross_encoder"},
            "listwise": {"kind": "ranking", "data": data(ranked), "pair": "bi_encoder", "loss": "listwise"},
            "tags": {"kind": "tagging", "data": data(tagged)},
            "answer": {"kind": "question_answering", "data": data(questions), "stride": 4},
            "choice": {"kind": "multiple_choice", "data": data(choices), "question": "question"},
        },
        "training": {"batch_size": 16,
                     "learning_rate": 1e-2, "encoder_learning_rate": 2e-3},
        "selection": {"fraction": 0.3, "max_rows": 30},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("sets", 200),  # three rules at once
        ("pointwise", 60),
        ("listwise", 60),
        ("tags", 60),
        ("answer", 60),
        ("choice", 60),
    ],
)
def test_a_kind_learns_a_rule_that_shows_in_its_words(
    tmp_path: Path, tiny_encoder: Path, task: str, steps: int
) -> None:
    """Measured on rows set aside; a constant answer scores about a half or less."""
    raw = learnable_config(tmp_path, tiny_encoder)
    raw["tasks"] = {task: raw["tasks"][task]}
    raw["training"] |= {"steps": steps, "evaluate_every": steps}
    recorder = Recorder()
    start_run(raw, tmp_path / "run").trainer.fit(recorder, lambda *_: None)
    (evaluation,) = recorder.evaluations
    assert next(iter(evaluation.metrics[task].values())) > 0.9


def test_a_resumed_run_of_every_kind_repeats_the_uninterrupted_one_exactly(
    tmp_path: Path, tiny_encoder: Path
) -> None:
    """Queries that many documents share, windows of one context: their gradients add up in one order."""
    raw = config_of(tmp_path, tiny_encoder, steps=4, evaluate_every=2)
    whole, reference = Recorder(), start_run(raw, tmp_path / "whole")
    torch.manual_seed(11)
    reference.trainer.fit(whole, reference.write_checkpoint)
    killed = start_run(raw, tmp_path / "killed")
    torch.manual_seed(11)
    with pytest.raises(InterruptedError):
        killed.trainer.fit(Recorder(stop_after=3), killed.write_checkpoint)
    torch.manual_seed(99)
    resumed, run = Recorder(), start_run(raw, tmp_path / "killed", resume=True)
    run.trainer.fit(resumed, run.write_checkpoint)
    assert resumed.losses == {step: losses for step, losses in whole.losses.items() if step > 2}
    weights = [
        {name: tensor.tolist() for name, tensor in each.trainer.model.state_dict().items()}
        for each in (run, reference)
    ]
    assert weights[0] == weights[1]
