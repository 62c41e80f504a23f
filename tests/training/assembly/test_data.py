from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tiny import write_rows
from tests.support.tiny_kinds import kinds_config
from tests.training.kinds.support import tokenizer_of
from training.assembly.data import RunData, batch_sizes, build_data, sampling_sizes, with_tags
from training.config.file import parse_config
from training.config.schema import Config
from training.errors import DataError
from training.examples import EncodedExamples


def build(raw: dict[str, Any], encoder: Path) -> RunData:
    return build_data(parse_config(raw), tokenizer_of(encoder))


@pytest.fixture
def raw(tmp_path: Path, tiny_encoder: Path) -> dict[str, Any]:
    return kinds_config(tmp_path, tiny_encoder)


def tagging(tmp_path: Path, encoder: Path, tags: list[list[str]], **keys: Any) -> dict[str, Any]:
    rows = [{"tokens": ["lamp"] * len(each), "tags": each} for each in tags]
    source = write_rows(tmp_path / "tags.jsonl", rows)
    task = {"kind": "tagging", "data": {"train": source, "dev": source}, **keys}
    return {"name": "x", "encoder": {"model": str(encoder), "max_length": 24}, "tasks": {"t": task}}


def test_every_kind_has_its_examples_to_learn_from_and_to_choose_by(
    raw: dict[str, Any], tiny_encoder: Path
) -> None:
    data = build(raw, tiny_encoder)
    assert list(data.tasks) == list(data.train) == list(data.selection) == list(raw["tasks"])
    for name, task in data.tasks.items():
        train = data.train[name]
        assert len(train.sequences) == len(train.targets) == len(train.references) > 0
        per_row = [len(train.rows_of(index)) for index in range(len(train))]
        sequences = [len(each) for each in train.sequences]
        assert per_row == [count - 1 if task.kind.bi_encoder else count for count in sequences]


def test_tags_that_are_not_declared_are_those_of_train(tmp_path: Path, tiny_encoder: Path) -> None:
    raw = tagging(tmp_path, tiny_encoder, [["B-b", "I-b"], ["B-a", "B-a"]])
    data = build(raw, tiny_encoder)
    assert data.tasks["t"].kind.labels == data.config.tasks["t"].labels == ("O", "B-a", "B-b", "I-b")  # type: ignore[union-attr]
    plain = tagging(tmp_path, tiny_encoder, [["VERB", "NOUN"], ["NOUN", "X"]], scheme="plain")
    assert build(plain, tiny_encoder).tasks["t"].kind.labels == ("NOUN", "VERB", "X")


def test_declared_tags_keep_their_order(tmp_path: Path, tiny_encoder: Path) -> None:
    raw = tagging(tmp_path, tiny_encoder, [["O", "B-a"], ["O", "O"]], labels=["B-z", "O", "B-a"])
    assert build(raw, tiny_encoder).tasks["t"].kind.labels == ("B-z", "O", "B-a")


def test_a_configuration_with_its_tags_is_left_as_it_is(raw: dict[str, Any]) -> None:
    config = parse_config(raw)
    assert with_tags(config) == config


def test_one_tag_alone_is_nothing_to_learn(tmp_path: Path, tiny_encoder: Path) -> None:
    raw = tagging(tmp_path, tiny_encoder, [["O", "O"], ["O"]])
    with pytest.raises(DataError, match=r"tags\.jsonl: task 't' has the one tag O; at least two"):
        build(raw, tiny_encoder)


def test_a_dev_question_that_leaves_no_room_is_named_before_the_training(
    raw: dict[str, Any], tiny_encoder: Path
) -> None:
    raw["tasks"] = {"answer": raw["tasks"]["answer"]}
    dev = Path(raw["tasks"]["answer"]["data"]["dev"])
    write_rows(dev, [{"question": "lamp " * 20, "context": "a lamp", "answers": []}])
    with pytest.raises(DataError, match=rf"{dev}, row 1: the question has 20 tokens or more"):
        build(raw, tiny_encoder)


def test_notes_say_which_file_they_are_of(raw: dict[str, Any], tiny_encoder: Path) -> None:
    raw["tasks"] = {"answering": raw["tasks"]["answering"]}
    dev = raw["tasks"]["answering"]["data"]["dev"]
    write_rows(Path(dev), [{"query": q, "document": "x", "label": int(q == "a"), "group": q} for q in "ab"])
    (note,) = build(raw, tiny_encoder).notes
    assert note.startswith(f"{dev}: 1 of 2 queries have no relevant document")


def test_a_tasks_own_batch_size_stands_beside_the_runs(raw: dict[str, Any]) -> None:
    raw["tasks"]["answer"]["batch_size"] = 2
    sizes = batch_sizes(parse_config(raw))
    assert sizes.pop("answer") == 2
    assert set(sizes.values()) == {4}


@given(own=st.integers(1, 64), common=st.integers(1, 64), count=st.integers(1, 500))
def test_a_task_counts_by_the_batches_it_takes(own: int, common: int, count: int) -> None:
    """As many batches of the run's size as the task has of its own."""
    task = {
        "kind": "regression",
        "data": {"train": {"hub": "x", "split": "y"}, "dev": {"hub": "x", "split": "y"}},
    }
    config = Config.model_validate(
        {
            "name": "x",
            "encoder": {"model": "m"},
            "tasks": {"t": {**task, "batch_size": own}},
            "training": {"batch_size": common},
        }
    )
    train = EncodedExamples(sequences=[()] * count, targets=[np.zeros(1)] * count, references=[None] * count)
    assert -(-sampling_sizes(config, {"t": train})["t"] // common) == -(-count // own)
