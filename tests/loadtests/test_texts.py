import json
from pathlib import Path

import pytest

from loadtests.errors import LoadTestError
from loadtests.texts import TextPool, default_data_folder, load_lines, load_sentences, shuffled_distinct


def write_rows(file: Path, rows: list[dict[str, object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "sst5/train.jsonl", [{"text": "a film"}, {"text": "a good film"}])
    write_rows(tmp_path / "sst5/dev.jsonl", [{"text": "a film"}])
    write_rows(
        tmp_path / "quora/dev.jsonl",
        [{"text_a": "why?", "text_b": " why? "}, {"text_a": "", "text_b": "how?"}],
    )
    return tmp_path


def test_each_sentence_comes_once_and_empty_ones_never(data: Path) -> None:
    assert sorted(load_sentences(data)) == ["a film", "a good film", "how?", "why?"]


def test_the_seed_alone_decides_the_order() -> None:
    texts = [f"text {index}" for index in range(50)]
    assert shuffled_distinct(texts, seed=1) == shuffled_distinct(texts, seed=1)
    assert shuffled_distinct(texts, seed=1) != shuffled_distinct(texts, seed=2)


def test_missing_data_is_named_with_the_variable_that_sets_its_folder(data: Path) -> None:
    (data / "sst5/dev.jsonl").unlink()
    with pytest.raises(LoadTestError, match=r"No sst5/dev\.jsonl in .*CS224N_DATA"):
        load_sentences(data)


def test_the_data_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CS224N_DATA", str(tmp_path))
    assert default_data_folder() == tmp_path
    monkeypatch.delenv("CS224N_DATA")
    assert default_data_folder() == Path("../shared/data")


def test_a_text_file_gives_its_distinct_lines(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("one\n\ntwo\none\n", encoding="utf-8")
    assert sorted(load_lines(file)) == ["one", "two"]


@pytest.mark.parametrize("content", [None, "\n \n"])
def test_a_text_file_without_text_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "texts.txt"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(LoadTestError, match=r"texts\.txt"):
        load_lines(file)


def test_a_pool_hands_out_each_text_once() -> None:
    pool = TextPool(["a", "b", "c"])
    assert pool.take(2) + pool.take(1) == ["a", "b", "c"]
    assert pool.remaining == 0


def test_texts_that_were_given_back_are_handed_out_again() -> None:
    pool = TextPool(["a", "b", "c", "d"])
    pool.take(3)
    pool.give_back(2)
    assert pool.take(2) == ["b", "c"]


def test_a_pool_never_repeats_a_text_to_satisfy_a_demand() -> None:
    pool = TextPool(["a", "b"])
    pool.take(1)
    with pytest.raises(LoadTestError, match="2 more distinct texts are needed, 1 of 2 are left"):
        pool.take(2)
