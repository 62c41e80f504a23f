# ruff: noqa: E501 - messages are compared whole
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tiny import write_config
from training.config.file import dump_config, load_config, parse_config
from training.config.schema import Config
from training.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def data(tmp_path: Path) -> str:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")
    return str(file)


@pytest.fixture
def raw(data: str) -> dict[str, Any]:
    return {
        "name": "demo",
        "encoder": {"model": "some/encoder"},
        "tasks": {
            "mood": {
                "kind": "classification",
                "data": {"train": data, "dev": data},
                "labels": ["bad", "good"],
            },
            "close": {
                "kind": "pair_regression",
                "data": {"train": data, "dev": data},
                "pair": "bi_encoder",
                "range": [0, 5],
            },
        },
    }


def faults_of(raw: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    return caught.value.faults


def test_a_metric_that_falls_chooses_no_checkpoint(raw: dict[str, Any]) -> None:
    raw["selection"] = {"score": ["mood.accuracy", "close.mse"]}
    assert faults_of(raw) == (
        "selection.score: 'close.mse' falls as close gets better, and the highest score is chosen; "
        "take close.pearson or close.spearman",
    )


def test_every_mistake_is_reported_at_once_with_its_place_and_what_would_be_right(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    file = tmp_path / "broken.yaml"
    file.write_text(
        f"""
name: broken
encoder: {{model: some/encoder, max_lenght: 64, pooling: median}}
tasks:
  mood:
    kind: classification
    data: {{train: {data}, dev: "${{NOWHERE}}/dev.jsonl"}}
    labels: [bad, good, bad]
  close:
    kind: pair_regression
    data: {{train: missing.jsonl, dev: {data}}}
    pair: cross_encoder
    combine: full
    range: [5, 0]
  same:
    kind: pair_clasification
    data: {{train: {data}, dev: {data}}}
  stars:
    kind: regression
    head: {{type: linear, hidden: [8]}}
training: {{learning_rate: 30}}
selection: {{score: [moood.accuracy, mood.acuracy]}}
"""
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    message, faults = str(caught.value), caught.value.faults
    expected = [
        "encoder.max_lenght: unknown key; did you mean 'max_length'? known: model, max_length, pooling, train, frozen_layers, dropout, attention_dropout, store_bytes",
        "encoder.pooling: Input should be 'cls', 'mean', 'max' or 'pooler', found 'median'",
        "tasks.mood.labels: each label once, found ['bad', 'good', 'bad']",
        "tasks.mood.data.dev: the environment variable NOWHERE is not set (${NOWHERE:-default} gives a default)",
        f"tasks.close.data.train: no file 'missing.jsonl' (relative paths start at {Path.cwd()})",
        "tasks.close.combine: only a bi_encoder combines two vectors; leave it out, or set pair: bi_encoder",
        "tasks.close.range: expected [low, high] with low < high, found [5, 0]",
        "tasks.same.kind: found 'pair_clasification'; did you mean 'pair_classification'? "
        "known: classification, multi_label, regression, pair_classification, pair_regression, ranking, tagging, question_answering, multiple_choice",
        "tasks.stars.data: Field required",
        "tasks.stars.head.hidden: unknown key; known: type, dropout",
        "training.learning_rate: Input should be less than or equal to 1, found 30",
        "selection.score: 'moood.accuracy' names no task; did you mean 'mood'? known: mood, close, same, stars",
        "selection.score: 'mood.acuracy' is no metric of mood; did you mean 'accuracy'? "
        "known: accuracy, f1_macro, matthews",
    ]
    assert sorted(faults) == sorted(expected)
    assert message.startswith(f"{file} has {len(expected)} mistakes:\n  ")
    assert all(fault in message for fault in expected)


def test_a_key_given_twice_is_an_error_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("name: a\nencoder: {model: x}\nname: b\ntasks: {}\n")
    with pytest.raises(ConfigError, match=r"key 'name' is given twice[\s\S]*line 3"):
        load_config(file)


def test_a_merge_key_is_no_key_given_twice(tmp_path: Path, data: str) -> None:
    file = tmp_path / "merge.yaml"
    file.write_text(
        f"""
name: merge
encoder: {{model: x}}
tasks:
  first: &first {{kind: classification, data: {{train: {data}, dev: {data}}}, labels: [a, b]}}
  second: {{<<: *first, labels: [c, d]}}
"""
    )
    tasks = load_config(file).tasks
    assert tasks["second"].kind == "classification"
    assert tasks["second"].labels == ("c", "d")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "just words",
        "[{a: b}: c]",
        "name: [",
        "name: \x00",
        "? [a, b]\n: c\n",
        "a: 2020-99-99",
    ],
)
def test_a_file_that_is_no_mapping_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.yaml has 1 mistake"):
        load_config(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml has 1 mistake[\s\S]*No such file"):
        load_config(tmp_path / "gone.yaml")


def test_variables_come_from_the_environment_and_else_from_their_default(
    tmp_path: Path, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw["name"] = "${RUN_NAME:-plain}"
    raw["encoder"]["model"] = "${ORGANISATION:-org}/${ENCODER:-small-encoder}"
    file = write_config(tmp_path / "variables.yaml", raw)
    monkeypatch.delenv("RUN_NAME", raising=False)
    monkeypatch.setenv("ENCODER", "large")
    config = load_config(file)
    assert (config.name, config.encoder.model) == ("plain", "org/large")


def test_an_unset_variable_is_reported_wherever_it_stands(raw: dict[str, Any]) -> None:
    raw["encoder"]["model"] = "${ENCODEONCE_TEST_UNSET}"
    raw["tasks"]["mood"]["labels"] = ["bad", "${ENCODEONCE_TEST_UNSET}"]
    assert [fault.split(" ")[0] for fault in faults_of(raw)] == ["encoder.model:", "tasks.mood.labels.1:"]


def test_dumping_and_loading_gives_the_same_configuration(raw: dict[str, Any]) -> None:
    raw["tasks"]["close"] |= {"head": {"type": "mlp", "hidden": [8, 4]}, "combine": "full", "weight": 0.5}
    raw["selection"] = {"score": ["mood.f1_macro"], "patience": 3}
    config = parse_config(raw)
    again = parse_config(yaml.safe_load(dump_config(config)))
    assert again == config
    assert dump_config(again) == dump_config(config)


def test_a_hub_split_is_taken_and_its_mistakes_have_their_place(raw: dict[str, Any]) -> None:
    raw["tasks"]["mood"]["data"]["dev"] = {"hub": "org/data", "split": "validation"}
    assert parse_config(raw).tasks["mood"].data.dev.split == "validation"  # type: ignore[union-attr]
    raw["tasks"]["mood"]["data"]["dev"] = {"hub": "org/data", "splt": "validation"}
    assert set(faults_of(raw)) == {
        "tasks.mood.data.dev.split: Field required",
        "tasks.mood.data.dev.splt: unknown key; did you mean 'split'? known: hub, config, split",
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"range": [0, "five"]}, "tasks.close.range.1: Input should be a valid number"),
        ({"range": [0, float("inf")]}, "tasks.close.range.1: Input should be a finite number"),
        ({"range": [2, 2]}, "tasks.close.range: expected [low, high] with low < high"),
        ({"head": {"hidden": [4]}}, "tasks.close.head.type: Field required"),
        (
            {"head": {"type": "mpl"}},
            "tasks.close.head.type: found 'mpl'; did you mean 'mlp'? known: linear, mlp",
        ),
        (
            {"head": {"type": "mlp", "hiden": [4]}},
            "tasks.close.head.hiden: unknown key; did you mean 'hidden'?",
        ),
        ({"weight": 0}, "tasks.close.weight: Input should be greater than 0, found 0"),
        ({"labels": ["a", "b"]}, "tasks.close.labels: unknown key; did you mean 'label'?"),
        ({"pair": None}, "tasks.close.pair: Input should be 'cross_encoder' or 'bi_encoder', found None"),
        ({"kind": ["pair_regression"]}, "tasks.close.kind: found"),
        ({"text": ["only_one"]}, "tasks.close.text.1: Field required"),
        (
            {"data": {"train": "rows.xlsx", "dev": "rows.xlsx"}},
            "tasks.close.data.train: 'rows.xlsx' is no .jsonl",
        ),
    ],
)
def test_a_tasks_mistake_has_its_place(raw: dict[str, Any], change: dict[str, Any], fault: str) -> None:
    raw["tasks"]["close"] |= change
    assert any(found.startswith(fault) for found in faults_of(raw)), faults_of(raw)


def test_labels_that_yaml_reads_as_numbers_or_booleans_are_to_be_quoted(raw: dict[str, Any]) -> None:
    raw["tasks"]["mood"]["labels"] = [0, "one", False]
    assert [fault for fault in faults_of(raw) if "in quotes" in fault] == [
        "tasks.mood.labels.0: Input should be a valid string, found 0 (write it in quotes)",
        "tasks.mood.labels.2: Input should be a valid string, found False (write it in quotes)",
    ]


@pytest.mark.parametrize("name", ["Mood", "2nd", "mood.accuracy", "mood\n", "", "type", "values", "train", 3])
def test_a_task_name_that_could_not_be_a_url_a_file_and_a_module_is_refused(
    raw: dict[str, Any], name: object
) -> None:
    raw["tasks"][name] = raw["tasks"].pop("mood")
    assert any(fault.startswith(f"tasks.{name}") for fault in faults_of(raw))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "epochs", float("inf")),
        ("training", "learning_rate", float("nan")),
        ("selection", "fraction", 1),
    ],
)
def test_numbers_that_no_run_could_use_are_refused(
    raw: dict[str, Any], section: str, key: str, value: float
) -> None:
    raw[section] = {key: value}
    assert [fault.split(":")[0] for fault in faults_of(raw)] == [f"{section}.{key}"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("${UNSET_}"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
task_keys = st.sampled_from(
    ["kind", "data", "labels", "range", "pair", "combine", "head", "text", "label", "weight"]
)


@given(
    name=st.text(max_size=6),
    task=st.dictionaries(
        task_keys, values | st.sampled_from(["classification", "pair_regression"]), max_size=6
    )
    | values,
    rest=st.dictionaries(
        st.sampled_from(["encoder", "training", "selection", "seed", "name", "tsks"]), values
    ),
)
def test_whatever_the_document_the_answer_is_a_configuration_or_a_list_of_mistakes(
    name: str, task: object, rest: dict[str, Any]
) -> None:
    raw = {"name": "x", "encoder": {"model": "m"}, "tasks": {name: task}} | rest
    outcome: Config | ConfigError
    try:
        outcome = parse_config(raw)
    except ConfigError as error:
        outcome = error
    assert isinstance(outcome, Config) or outcome.faults


def shipped_configs() -> list[Path]:
    files = [*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "training" / "configs").rglob("*.yaml")]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    return sorted(file for file, text in texts.items() if "tasks:" in text and "variants:" not in text)


@pytest.mark.parametrize("file", shipped_configs(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_shipped_configuration_is_valid(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    faults: tuple[str, ...] = ()
    try:
        load_config(file)
    except ConfigError as error:
        faults = error.faults
    assert [fault for fault in faults if ": no file '" not in fault] == [], "all but data that is not here"
    assert "python -m training fit" in file.read_text(), "its header shows the command"
