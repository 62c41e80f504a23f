import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config.tasks import HubSplit
from training.data import load_examples, read_tags
from training.errors import DataError
from training.examples import Example, Examples, split_for_selection
from training.kinds.base import Kind
from training.kinds.classification import Classification
from training.kinds.multi_label import MultiLabel
from training.kinds.multiple_choice import MultipleChoice
from training.kinds.question_answering import QuestionAnswering
from training.kinds.ranking import Ranking
from training.kinds.regression import Regression
from training.kinds.tagging import Tagging
from training.kinds.texts import Texts
from training.tasks import Task

TEXT = Texts(columns=("text",))
MOOD = Task(name="mood", kind=Classification(texts=TEXT, labels=("bad", "good")))
STARS = Task(name="stars", kind=Regression(texts=TEXT))
PAIR = Task(name="same", kind=Regression(texts=Texts(columns=("a", "b"), bi_encoder=True)))

ROWS: list[dict[str, Any]] = [
    {"text": "a lamp", "label": "good"},
    {"text": "007", "label": "bad"},
    {"text": "None", "label": "bad"},
    {"text": 'quoted "text", with\nnew line', "label": "good"},
    {"text": "line\u2028separator Ünïcode", "label": "good"},
]


def write(file: Path, rows: list[dict[str, Any]]) -> str:
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif file.suffix == ".csv":
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return str(file)


def message_of(task: Task, source: str) -> str:
    with pytest.raises(DataError) as caught:
        load_examples(task, source)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_format_gives_the_same_examples(tmp_path: Path, suffix: str) -> None:
    examples = load_examples(MOOD, write(tmp_path / f"rows{suffix}", ROWS))
    assert [example.input for example in examples] == [{"text": row["text"]} for row in ROWS]
    assert [example.target for example in examples] == [1, 0, 0, 1, 1]
    assert [example.row for example in examples] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("values", [[1, 4, 0], [0.5, 4.0, -1e-3]])
def test_every_format_gives_the_same_values(tmp_path: Path, suffix: str, values: list[float]) -> None:
    rows = [{"text": f"text {value}", "label": value} for value in values]
    examples = load_examples(STARS, write(tmp_path / f"rows{suffix}", rows))
    assert [example.target for example in examples] == values


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_whole_numbers_are_labels_by_their_digits(tmp_path: Path, suffix: str) -> None:
    task = Task(name="digit", kind=Classification(texts=TEXT, labels=("0", "1")))
    rows = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    examples = load_examples(task, write(tmp_path / f"rows{suffix}", rows))
    assert [example.target for example in examples] == [1, 0]


def test_a_pair_is_two_columns(tmp_path: Path) -> None:
    source = write(tmp_path / "pairs.jsonl", [{"a": "one", "b": "two", "label": 3}])
    (example,) = load_examples(PAIR, source)
    assert example.input == {"text": "one", "text_pair": "two"}


def test_a_dataset_of_the_hub_is_loaded_by_its_split(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write(tmp_path / "set" / "train.jsonl", ROWS)
    write(tmp_path / "set" / "validation.jsonl", ROWS[:2])
    source = HubSplit(hub=str(tmp_path / "set"), split="validation")
    assert [example.input["text"] for example in load_examples(MOOD, source)] == ["a lamp", "007"]
    with pytest.raises(DataError, match=r"set cannot be read: .*Unknown split \"test\""):
        load_examples(MOOD, HubSplit(hub=str(tmp_path / "set"), split="test"))


def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [{"body": "x", "label": "good"}])
    assert (
        message_of(MOOD, source)
        == f"{source}: task 'mood' reads column text, but the columns are body, label"
    )


def test_rows_that_do_not_fit_are_numbered_and_counted(tmp_path: Path) -> None:
    rows = [{"text": f"text {number}", "label": "fine"} for number in range(8)]
    message = message_of(MOOD, write(tmp_path / "rows.jsonl", [{"text": "ok", "label": "good"}, *rows]))
    assert "rows.jsonl, task 'mood': row 2: label 'fine' is none of bad, good; row 3:" in message
    assert message.endswith("(and 3 rows more)")


@pytest.mark.parametrize(
    ("task", "row", "fault"),
    [
        (MOOD, {"text": "x", "label": "fine"}, "row 2: label 'fine' is none of bad, good"),
        (MOOD, {"text": "x", "label": None}, "row 2: label is missing (null or NaN)"),
        (MOOD, {"text": " \n", "label": "bad"}, "row 2: text is empty"),
        (MOOD, {"text": None, "label": "bad"}, "row 2: text should be text, found None"),
    ],
)
def test_a_row_that_does_not_fit_is_named(
    tmp_path: Path, task: Task, row: dict[str, Any], fault: str
) -> None:
    source = write(tmp_path / "rows.jsonl", [{"text": "x", "label": "good"}, row])
    assert message_of(task, source) == f"{source}, task {task.name!r}: {fault}"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("null", "label is missing (null or NaN)"),
        ("NaN", "label is missing (null or NaN)"),
        ("Infinity", "label should be finite, found inf"),
        ('"five"', "label should be a number, found 'five'"),
    ],
)
def test_a_value_that_is_no_number_is_named(tmp_path: Path, value: str, fault: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"text": "x", "label": 1.5}}\n{{"text": "y", "label": {value}}}\n')
    assert message_of(STARS, str(file)) == f"{file}, task 'stars': row 2: {fault}"


@pytest.mark.parametrize("cell", ["", "nan", "n/a", "1,5"])
def test_a_cell_of_a_csv_file_that_is_no_number_is_named(tmp_path: Path, cell: str) -> None:
    source = write(tmp_path / "rows.csv", [{"text": "x", "label": "1.5"}, {"text": "y", "label": cell}])
    assert f"{source}, task 'stars': row 2: label should be" in message_of(STARS, source)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_an_empty_file_is_named(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"rows{suffix}"
    file.touch()
    assert message_of(MOOD, str(file)) == f"{file} is empty"


@pytest.mark.parametrize(("name", "text"), [("a.csv", "text,label\n"), ("b.jsonl", "\n\n"), ("c.json", "[]")])
def test_a_file_without_rows_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert message_of(MOOD, str(tmp_path / name)) == f"{tmp_path / name} has no rows"


def test_a_table_without_rows_is_named(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert "has no rows" in message_of(MOOD, str(tmp_path / "rows.parquet"))


def test_a_malformed_line_is_named_as_an_editor_counts_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '{"text": "x", "label": "bad"}\n\n{"text": "y", "label": "bad"\n{"text": "z", "label": "bad"}\n'
    )
    assert f"{file} cannot be read: line 3: Expecting ',' delimiter" in message_of(MOOD, str(file))
    assert capfd.readouterr().err == "", "the reader's own log stays off the terminal"


@pytest.mark.parametrize("half", [r"\ud83d", r"\udc00", r"\udc00\ud83d"])
def test_half_a_surrogate_pair_is_named_by_its_line(tmp_path: Path, half: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"text": "x", "label": "bad"}}\n{{"text": "y {half}", "label": "bad"}}\n')
    assert message_of(MOOD, str(file)) == f"{file} cannot be read: line 2: a text has half a surrogate pair"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_nul_is_a_character_of_a_text(tmp_path: Path, suffix: str) -> None:
    (example,) = load_examples(MOOD, write(tmp_path / f"rows{suffix}", [{"text": "a\0b", "label": "bad"}]))
    assert example.input == {"text": "a\0b"}


@pytest.mark.parametrize(("bounds", "value"), [((0, 5), 5.5), ((0, 5), -0.1), ((-1, 1), 2)])
def test_a_value_outside_the_range_is_named(
    tmp_path: Path, bounds: tuple[float, float], value: float
) -> None:
    task = Task(name="stars", kind=Regression(texts=TEXT, range=bounds))
    source = write(
        tmp_path / "rows.jsonl", [{"text": "x", "label": bounds[0]}, {"text": "y", "label": value}]
    )
    fault = f"row 2: label {value:g} is outside the range {list(bounds)}"
    assert message_of(task, source) == f"{source}, task 'stars': {fault}"


LISTS: dict[str, tuple[Kind, dict[str, Any], dict[str, Any]]] = {
    "multi_label": (
        MultiLabel(texts=TEXT, labels=("a", "b")),
        {"text": "x", "labels": ["b"]},
        {"text": "x"},
    ),
    "tagging": (
        Tagging(labels=("O", "B-a")),
        {"tokens": ["x", "y"], "tags": ["O", "B-a"]},
        {"tokens": ["x", "y"]},
    ),
    "question_answering": (
        QuestionAnswering(stride=4),
        {"question": "where", "context": "a lamp", "answers": [{"text": "lamp", "start": 2}]},
        {"question": "where", "context": "a lamp"},
    ),
    "multiple_choice": (
        MultipleChoice(question_column="question"),
        {"question": "where", "choices": ["x", "y", "z"], "label": 2},
        {"question": "where", "choices": ["x", "y", "z"]},
    ),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", LISTS)
def test_kinds_that_read_lists_read_them_from_every_format_that_has_them(
    tmp_path: Path, name: str, suffix: str
) -> None:
    kind, row, given = LISTS[name]
    (example,) = load_examples(Task(name="x", kind=kind), write(tmp_path / f"rows{suffix}", [row]))
    assert example.input == given
    assert example.target == kind.parse(*(row[column] for column in kind.columns))[1]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_ranking_is_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    rows = [{"query": "q", "document": "x", "label": 0}, {"query": "q", "document": "y", "label": 1}]
    (example,) = load_examples(Task(name="r", kind=Ranking()), write(tmp_path / f"rows{suffix}", rows))
    assert example.input == {"query": "q", "documents": ["x", "y"]}
    assert example.target == (0, 1)


def test_rows_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    rows = [{"query": query, "document": "x", "label": 1, "qid": 7} for query in ("a", "b")]
    source = write(tmp_path / "rows.jsonl", rows)
    task = Task(name="r", kind=Ranking(group_column="qid"))
    assert message_of(task, source) == f"{source}, task 'r': rows 1 and 2: qid 7 has two queries"


def test_tags_that_the_hub_stores_as_numbers_are_read_by_their_names(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["O", "B-a"])
    rows = datasets.Dataset.from_dict(
        {"tokens": [["x", "y"]], "tags": [[0, 1]]},
        features=datasets.Features(
            {"tokens": datasets.List(datasets.Value("string")), "tags": datasets.List(names)}
        ),
    )
    rows.to_parquet(tmp_path / "train-00000.parquet")
    source = HubSplit(hub=str(tmp_path), split="train")
    (example,) = load_examples(Task(name="t", kind=LISTS["tagging"][0]), source)
    assert example.target == (0, 1)
    assert read_tags(source, "tags", scheme="bio", task="t") == {"O", "B-a"}


def test_a_tag_that_the_scheme_does_not_know_is_named_where_tags_are_looked_for(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [{"tags": ["O", "B-a"]}, {"tags": ["O", "thing"]}])
    assert read_tags(source, "tags", scheme="plain", task="t") == {"O", "B-a", "thing"}
    with pytest.raises(DataError, match="task 't': row 2: tags 'thing' is no tag of scheme bio"):
        read_tags(source, "tags", scheme="bio", task="t")


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.jsonl"])
def test_a_file_of_another_format_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'text,label\n"open,b\nc,d\n\xff\xfe')
    assert f"{tmp_path / name} cannot be read: " in message_of(MOOD, str(tmp_path / name))


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'gone.jsonl'} cannot be read" in message_of(MOOD, str(tmp_path / "gone.jsonl"))


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", ROWS)
    load_examples(MOOD, source)
    write(tmp_path / "rows.jsonl", ROWS[:2])
    assert len(load_examples(MOOD, source)) == 2


@given(
    count=st.integers(2, 300),
    fraction=st.floats(0.01, 0.99),
    max_rows=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_rows_set_aside_are_disjoint_complete_bounded_and_repeatable(
    count: int, fraction: float, max_rows: int, seed: int
) -> None:
    examples = numbered(count)
    train, selection = split_for_selection(examples, fraction=fraction, max_rows=max_rows, seed=seed)
    assert sorted(example.target for example in (*train, *selection)) == list(range(count))
    assert 1 <= len(selection) <= max_rows
    assert len(train) >= 1
    assert all(example.input == {"text": str(example.target)} for example in train), "they stay together"
    again = split_for_selection(examples, fraction=fraction, max_rows=max_rows, seed=seed)
    assert again == (train, selection)


def test_rows_set_aside_depend_on_the_seed() -> None:
    first, second = (
        split_for_selection(numbered(100), fraction=0.1, max_rows=50, seed=seed)[1] for seed in (0, 1)
    )
    assert first != second


def numbered(count: int) -> Examples:
    items = (Example(input={"text": str(n)}, target=n, row=n + 1) for n in range(count))
    return Examples(origin="rows", items=tuple(items))
