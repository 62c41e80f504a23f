"""Questions about paragraphs alone and at the end of long contexts."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import LoadTestError
from loadtests.long_context import BETWEEN, Figures, holds, main, read_questions
from tests.support.service_process import ROOT

SQUAD = ROOT / ".." / "shared" / "data" / "squad_sub" / "dev.jsonl"
TRAINED = ROOT / "bundles" / "nlu"


def write_questions(file: Path, count: int = 12) -> Path:
    rows: list[dict[str, Any]] = []
    for number in range(count):
        context = f"the lamp number {number} is " + "very " * 12 + "blue"
        answers = [] if number % 4 == 3 else [{"text": "blue", "start": context.index("blue")}]
        rows.append({"question": f"which lamp {number}", "context": context, "answers": answers})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_the_own_paragraph_stands_behind_enough_words_of_others(tmp_path: Path) -> None:
    data = write_questions(tmp_path / "dev.jsonl")
    questions = read_questions(data, count=9, words=100, seed=3)
    assert len({each.text for each in questions}) == 9, "none of those without an answer"
    for each in questions:
        *others, last = each.long_context.split(BETWEEN)
        assert last == each.paragraph
        assert each.paragraph not in others
        assert len(set(others)) == len(others)
        assert 100 <= len(" ".join(others).split()) < 100 + len(each.paragraph.split())
    assert (
        questions
        == read_questions(data, count=9, words=100, seed=3)
        != read_questions(data, count=9, words=100, seed=4)
    )


def test_too_few_questions_or_words_are_told(tmp_path: Path) -> None:
    data = write_questions(tmp_path / "dev.jsonl")
    with pytest.raises(LoadTestError, match="has 9 questions with an answer; 10 are needed"):
        read_questions(data, count=10, words=5, seed=0)
    with pytest.raises(LoadTestError, match=r"other paragraphs have \d+ words; 1000 are needed"):
        read_questions(data, count=2, words=1000, seed=0)


def test_the_ratio_decides_and_nothing_is_no_success(tmp_path: Path) -> None:
    questions = read_questions(write_questions(tmp_path / "dev.jsonl"), count=2, words=5, seed=0)
    alone = Figures.of(["The blue!", "blue"], questions)
    assert alone == Figures(exact_match=1.0, f1=1.0)
    half = Figures.of(["blue", "very blue"], questions)
    assert half.exact_match == 0.5
    assert half.f1 == pytest.approx((1 + 2 / 3) / 2)
    assert holds(alone, half, ratio=0.5)
    assert not holds(alone, half, ratio=0.51)
    with pytest.raises(LoadTestError, match="nothing to compare"):
        holds(Figures.of(["", ""], questions), half, ratio=0.5)


@pytest.mark.slow
@pytest.mark.integration
def test_a_real_service_reads_long_contexts_in_windows(
    kinds_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_questions(tmp_path / "dev.jsonl")
    options = ["--data", str(data), "--questions", "4", "--words", "100", "--threads", "1"]
    assert main([str(kinds_bundle), "--task", "answer", *options]) in (0, 1, 2)
    lines = capsys.readouterr().out.splitlines()
    windows = float(lines[3].split("(")[1].split()[0])
    assert windows > 10, "of at most 24 tokens"
    assert main([str(kinds_bundle), "--task", "mood", *options]) == 2
    assert "but mood takes text" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.skipif(not SQUAD.is_file(), reason="squad_sub is not here")
@pytest.mark.skipif(not TRAINED.is_dir(), reason="bundles/nlu is not here: see examples/nlu/README.md")
def test_answers_are_found_at_the_end_of_three_thousand_words() -> None:
    assert main([str(TRAINED), "--task", "answer", "--data", str(SQUAD)]) == 0
