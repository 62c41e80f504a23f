# ruff: noqa: E501 - messages are compared whole
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_kinds import kinds_config
from training.config.file import dump_config, parse_config
from training.config.schema import Config
from training.errors import ConfigError
from training.kinds.build import build_kind
from training.kinds.question_answering import QuestionAnswering
from training.metrics import METRICS


@pytest.fixture
def raw(tmp_path: Path, tiny_encoder: Path) -> dict[str, Any]:
    return kinds_config(tmp_path, tiny_encoder, rows=2)


def faults_of(raw: dict[str, Any], task: str, **keys: Any) -> list[str]:
    raw["tasks"][task] |= keys
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    return [fault.removeprefix(f"tasks.{task}.") for fault in caught.value.faults]


def test_every_kind_is_declared_dumped_and_built(raw: dict[str, Any]) -> None:
    config = parse_config(raw)
    assert {task.kind for task in config.tasks.values()} == set(METRICS)
    assert parse_config(config.model_dump(mode="json")) == config
    assert "kind: question_answering" in dump_config(config)
    for task in config.tasks.values():
        kind = build_kind(task, max_length=24, seed=0)
        assert kind.name == task.kind
        assert kind.metrics


def test_the_joint_score_is_made_of_every_kinds_primary_metric(raw: dict[str, Any]) -> None:
    assert parse_config(raw).joint_score == (
        "mood.accuracy", "issues.f1_micro", "stars.pearson", "same.accuracy", "close.pearson", "relevance.map",
        "answering.map", "entities.f1", "parts.accuracy", "answer.f1", "next.accuracy", "step.accuracy",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        ("parts.f1", "accuracy, f1_macro"),
        ("entities.f1_macro", "f1, precision, recall, accuracy"),
        ("relevance.ndcg", "map, mrr, ndcg@10"),
    ],
)
def test_a_metric_that_a_kind_does_not_have_is_named_beside_those_it_has(
    raw: dict[str, Any], entry: str, known: str
) -> None:
    raw["selection"]["score"] = [entry]
    with pytest.raises(ConfigError, match=f"is no metric of {entry.split('.')[0]}.*known: {known}"):
        parse_config(raw)


@pytest.mark.parametrize(("max_length", "stride"), [(24, 6), (64, 16), (128, 32), (512, 32)])
def test_windows_share_a_quarter_of_their_length_or_32_tokens(max_length: int, stride: int) -> None:
    source = {"hub": "x", "split": "y"}
    task = {"kind": "question_answering", "data": {"train": source, "dev": source}}
    config = Config.model_validate({"name": "x", "encoder": {"model": "m"}, "tasks": {"t": task}})
    kind = build_kind(config.tasks["t"], max_length=max_length, seed=0)
    assert isinstance(kind, QuestionAnswering)
    assert kind.stride == stride


@pytest.mark.parametrize(
    ("task", "keys", "fault"),
    [
        ("mood", {"loss": "huber"}, "loss.name: found 'huber'; known: cross_entropy, focal"),
        ("stars", {"loss": {"name": "focal"}}, "loss.name: found 'focal'; known: mse, huber"),
        ("answering", {"loss": "pairwise"}, "loss: Input should be 'pointwise' or 'listwise', found 'pairwise'"),
        ("answer", {"loss": "focal"}, "loss: unknown key; known: data, label,"),
        ("mood", {"loss": {"name": "focal", "gama": 2}}, "loss.gama: unknown key; did you mean 'gamma'? known: name, gamma, class_weights"),
        ("mood", {"loss": {"name": "focal", "gamma": -1}}, "loss.gamma: Input should be greater than or equal to 0, found -1"),
        ("mood", {"loss": {"gamma": 2}}, "loss.name: Field required"),
        ("mood", {"loss": {"name": "focal", "label_smoothing": 0.1}}, "loss.label_smoothing: unknown key; known: name, gamma, class_weights"),
        ("mood", {"loss": {"name": "cross_entropy", "label_smoothing": 1}}, "loss.label_smoothing: Input should be less than 1, found 1"),
        ("mood", {"loss": {"name": "cross_entropy", "class_weights": [1, 2]}}, "loss.class_weights: expected one for each of 3 labels, found 2"),
        ("mood", {"loss": {"name": "cross_entropy", "class_weights": [1, 2, 0]}}, "loss.class_weights.2: Input should be greater than 0, found 0"),
        ("mood", {"loss": {"name": "cross_entropy", "class_weights": "even"}}, "loss.class_weights: Input should be 'balanced', found 'even'"),
        ("entities", {"labels": None, "loss": {"name": "focal", "class_weights": [1, 2]}}, "loss.class_weights: a list goes by the order of the labels; declare them too"),
        ("stars", {"loss": {"name": "huber", "delta": 0}}, "loss.delta: Input should be greater than 0, found 0"),
        ("relevance", {"max_candidates": 1}, "max_candidates: Input should be greater than or equal to 2, found 1"),
        ("relevance", {"pair": "cross_encoder"}, "combine: only a bi_encoder combines two vectors"),
        ("next", {"combine": "cosine"}, "combine: only a bi_encoder combines two vectors"),
        ("relevance", {"text": "query"}, "text: unknown key"),
        ("entities", {"scheme": "bilou"}, "scheme: Input should be 'bio', 'iob1', 'iobes' or 'plain', found 'bilou'"),
        ("entities", {"labels": ["O", "B-a", "E-a"]}, "labels: E-a: no tags of scheme bio; known: O and B-…, I-…, or set scheme: plain"),
        ("entities", {"labels": ["B-a", "I-a"]}, "labels: scheme bio needs the tag O, for words outside of all spans"),
        ("answer", {"stride": 13}, "stride: at most half of encoder.max_length, 12, found 13"),
        ("answer", {"max_answer_tokens": 0}, "max_answer_tokens: Input should be greater than 0, found 0"),
        ("next", {"context": None, "question": None}, "context, question: the choices belong to one of them or both; name its column"),
        ("issues", {"labels": ["late"]}, "labels: Tuple should have at least 2 items"),
        ("issues", {"batch_size": 0}, "batch_size: Input should be greater than 0, found 0"),
    ],
)  # fmt: skip
def test_a_mistake_of_a_kind_has_its_place_and_its_alternatives(
    raw: dict[str, Any], task: str, keys: dict[str, Any], fault: str
) -> None:
    found = faults_of(raw, task, **keys)
    assert any(each.startswith(fault) for each in found), found


@pytest.mark.parametrize("task", ["issues", "entities", "answer", "next"])
def test_a_csv_file_is_refused_where_lists_are_read(raw: dict[str, Any], task: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.touch()
    data = {"train": str(file), "dev": raw["tasks"][task]["data"]["dev"]}
    kind = raw["tasks"][task]["kind"]
    assert faults_of(raw, task, data=data) == [
        f"data.train: {str(file)!r} has no lists, which kind {kind} reads; use .jsonl or .parquet"
    ]


@pytest.mark.parametrize("scheme", [["bio"], {"a": 1}, 7])
def test_a_scheme_of_a_wrong_type_is_a_mistake_and_no_crash(raw: dict[str, Any], scheme: object) -> None:
    assert any(fault.startswith("scheme: ") for fault in faults_of(raw, "entities", scheme=scheme))


def test_a_loss_without_parameters_may_be_its_name_alone(raw: dict[str, Any]) -> None:
    raw["tasks"]["stars"]["loss"] = "huber"
    raw["tasks"]["mood"]["loss"] = {"name": "focal", "class_weights": "balanced"}
    config = parse_config(raw)
    assert config.tasks["stars"].loss.delta == 1  # type: ignore[union-attr]
    assert config.tasks["mood"].loss.gamma == 2  # type: ignore[union-attr]
    assert parse_config(config.model_dump(mode="json")) == config
