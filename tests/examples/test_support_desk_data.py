"""The quickstart's data keeps what its README promises; nothing is trained."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.service_process import ROOT

EXAMPLE = ROOT / "examples" / "support_desk"
FILES = ("messages", "duplicates", "similar", "entities", "answers", "next_step", "help_articles")
SPLITS = ("train", "dev")
LEAST_ROWS = {
    "messages": (220, 60), "entities": (220, 60), "answers": (150, 40), "next_step": (120, 40)
}  # fmt: skip
LEAST_QUERIES = (60, 20)
TAGS = [
    "delivery",
    "payment",
    "refund",
    "damaged",
    "account",
    "product",
    "praise",
    "repeat_contact",
    "deadline",
]
ENTITIES = {"order_number", "product", "date", "amount"}

Row = dict[str, Any]


def read(name: str, split: str) -> list[Row]:
    path = EXAMPLE / "data" / f"{name}.{split}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(name: str, row: Row) -> Iterator[str]:
    """What the encoder may read of a row. Help articles are one pool for both splits and so left out."""
    for column in ("text", "text_a", "text_b", "question", "context", "query"):
        if column in row:
            yield row[column]
    if name == "entities":
        yield " ".join(row["tokens"])
    yield from row.get("choices", ())


def by_query(split: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in read("help_articles", split):
        groups[row["query"]].append(row)
    return groups


def words(text: str) -> tuple[str, ...]:
    """Compared word by word: an entity row has lost its text's spacing."""
    return tuple(re.findall(r"\w+", text.casefold()))


every_file = pytest.mark.parametrize("name", FILES)
every_split = pytest.mark.parametrize("split", SPLITS)


def test_no_text_is_in_both_splits() -> None:
    train, dev = ({words(text) for name in FILES for row in read(name, split) for text in texts(name, row)}
                  for split in SPLITS)  # fmt: skip
    assert not train & dev


@every_file
@every_split
def test_no_row_occurs_twice(name: str, split: str) -> None:
    inputs = [json.dumps({k: v for k, v in row.items() if k not in {"label", "tags", "answers"}})
              for row in read(name, split)]  # fmt: skip
    assert [row for row, count in Counter(inputs).items() if count > 1] == []


@every_file
@every_split
def test_texts_are_stripped_and_not_empty(name: str, split: str) -> None:
    for row in read(name, split):
        assert all(text and text == text.strip() for text in texts(name, row)), row


@pytest.mark.parametrize("name", LEAST_ROWS)
def test_files_are_large_enough(name: str) -> None:
    for split, least in zip(SPLITS, LEAST_ROWS[name], strict=True):
        assert len(read(name, split)) >= least


@every_split
def test_message_tags_are_known_unique_and_in_order(split: str) -> None:
    rows = read("messages", split)
    for row in rows:
        assert row["tags"] == [tag for tag in TAGS if tag in row["tags"]], row
    assert {tag for row in rows for tag in row["tags"]} == set(TAGS)
    assert {0, 1, 2, 3} <= {len(row["tags"]) for row in rows}


@every_split
def test_entity_tags_are_valid_bio(split: str) -> None:
    found = set()
    for row in read("entities", split):
        assert len(row["tokens"]) == len(row["tags"])
        for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
            prefix, _, label = tag.partition("-")
            assert tag == "O" or (prefix in {"B", "I"} and label in ENTITIES), row
            assert prefix != "I" or before[2:] == label, row
            found.add(label)
    assert found == {"", *ENTITIES}


@every_split
def test_entity_tokens_are_words_or_single_signs(split: str) -> None:
    for row in read("entities", split):
        assert all(re.fullmatch(r"\w+|[^\w\s]", token) for token in row["tokens"]), row


@every_split
def test_answers_stand_at_their_offsets(split: str) -> None:
    rows = read("answers", split)
    for row in rows:
        for answer in row["answers"]:
            end = answer["start"] + len(answer["text"])
            assert row["context"][answer["start"] : end] == answer["text"], row["question"]
            around = row["context"][max(answer["start"] - 1, 0) : end + 1]
            assert words(answer["text"]) == words(around), f"{row['question']}: not whole words"
    unanswerable = sum(not row["answers"] for row in rows) / len(rows)
    assert 0.05 < unanswerable < 0.3


@every_split
def test_help_paragraphs_have_the_length_of_a_help_page(split: str) -> None:
    assert all(60 <= len(row["context"].split()) <= 150 for row in read("answers", split))


@every_split
def test_the_right_step_is_at_every_position_equally_often(split: str) -> None:
    rows = read("next_step", split)
    for row in rows:
        assert 3 <= len(row["choices"]) <= 4
        assert len(set(row["choices"])) == len(row["choices"])
    for num_choices in (3, 4):
        labels = Counter(row["label"] for row in rows if len(row["choices"]) == num_choices)
        assert set(labels) == set(range(num_choices))
        assert max(labels.values()) - min(labels.values()) <= 1


@every_split
def test_the_longest_step_is_no_sign_of_the_right_one(split: str) -> None:
    rows = read("next_step", split)
    longest = sum(max(row["choices"], key=len) == row["choices"][row["label"]] for row in rows)
    assert 0.15 < longest / len(rows) < 0.4


@every_split
def test_nearly_every_wrong_step_is_right_elsewhere(split: str) -> None:
    """Otherwise the choices alone would give the answer away."""
    rows = read("next_step", split)
    right = {row["choices"][row["label"]] for row in rows}
    wrong = [choice for row in rows for place, choice in enumerate(row["choices"]) if place != row["label"]]
    assert sum(choice in right for choice in wrong) / len(wrong) > 0.9


@every_split
def test_each_query_has_right_and_wrong_candidates(split: str) -> None:
    groups = by_query(split)
    assert len(groups) >= LEAST_QUERIES[SPLITS.index(split)]
    for query, rows in groups.items():
        assert 5 <= len(rows) <= 8, query
        assert {row["label"] for row in rows} == {0, 1}, query
        assert len({row["document"] for row in rows}) == len(rows), query


def test_every_article_is_right_for_one_query_and_wrong_for_another() -> None:
    labels = defaultdict(set)
    for row in read("help_articles", "train"):
        labels[row["document"]].add(row["label"])
    assert len(labels) >= 25
    assert all(found == {0, 1} for found in labels.values())


def test_both_splits_rank_the_same_articles() -> None:
    train, dev = ({row["document"] for row in read("help_articles", split)} for split in SPLITS)
    assert train == dev
