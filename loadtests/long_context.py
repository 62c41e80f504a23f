"""Does a question find its answer at the end of a long document?

    python -m loadtests.long_context bundles/NAME --task answer --data DEV.jsonl [--words 3000]

Each question with an answer is asked over HTTP twice: about its own paragraph alone, and about a context in
which the same paragraph stands behind ``--words`` words of other paragraphs of the file. Exits 1 if the exact
match of the long contexts is below ``--ratio`` (0.85) of that of the paragraphs alone.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console

from loadtests.errors import LoadTestError
from loadtests.server import serve
from training.kinds.squad import exact_match, f1
from training.progress import build_progress

BETWEEN = "\n\n"
LEAST_RATIO = 0.85
TIMEOUT_S = 600.0
LIMITS = {"ENCODEONCE_MAX_TEXT_CHARS": "10000000", "ENCODEONCE_TIMEOUT_S": str(TIMEOUT_S)}
"""Of the service: a busy machine, or more words than it takes by default, are no failure here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with its paragraph, alone and at the end of a long context.

    Attributes:
        text: As asked.
        paragraph: That holds the answer.
        long_context: Other paragraphs, and this one last.
        golds: Right answers.
    """

    text: str
    paragraph: str
    long_context: str
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """SQuAD's figures over the questions, as fractions of 1."""

    exact_match: float
    f1: float

    @classmethod
    def of(cls, answers: Sequence[str], questions: Sequence[Question]) -> "Figures":
        """Compare one answer for each question."""
        pairs = [(answer, list(each.golds)) for answer, each in zip(answers, questions, strict=True)]
        return cls(
            exact_match=float(np.mean([exact_match(*pair) for pair in pairs])),
            f1=float(np.mean([f1(*pair) for pair in pairs])),
        )


def read_questions(data: Path, *, count: int, words: int, seed: int) -> list[Question]:
    """Draw questions that have an answer, and other paragraphs for each.

    Args:
        data: JSON lines of ``question``, ``context``, ``answers``.
        count: Questions.
        words: Of the other paragraphs together, at least.
        seed: Of all draws.

    Raises:
        LoadTestError: If the file cannot be read, or has too few questions or words.
    """
    try:
        lines = data.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise LoadTestError(f"{data} cannot be read as JSON lines: {error}") from error
    paragraphs = list(dict.fromkeys(row["context"] for row in rows))
    answerable = [row for row in rows if row["answers"]]
    if len(answerable) < count:
        raise LoadTestError(f"{data} has {len(answerable)} questions with an answer; {count} are needed.")
    generator = np.random.default_rng(seed)
    chosen = [answerable[place] for place in generator.permutation(len(answerable))[:count]]
    return [
        Question(
            text=row["question"],
            paragraph=row["context"],
            long_context=BETWEEN.join(
                [*_others(paragraphs, row["context"], words=words, generator=generator), row["context"]]
            ),
            golds=tuple(answer["text"] for answer in row["answers"]),
        )
        for row in chosen
    ]


def _others(paragraphs: Sequence[str], own: str, *, words: int, generator: np.random.Generator) -> list[str]:
    found: list[str] = []
    missing = words
    for place in generator.permutation(len(paragraphs)):
        if missing <= 0:
            return found
        if paragraphs[place] != own:
            found.append(paragraphs[place])
            missing -= len(paragraphs[place].split())
    if missing > 0:
        raise LoadTestError(f"The other paragraphs have {words - missing} words; {words} are needed.")
    return found


def ask(client: httpx.Client, task: str, question: str, context: str) -> tuple[str, int]:
    """The served answer, and the windows that were read for it.

    Raises:
        LoadTestError: If the service refuses, with its reason.
    """
    body = {"inputs": [{"question": question, "context": context}]}
    response = client.post(f"/v1/tasks/{task}/predict", json=body)
    answer = response.json()
    if response.is_error:
        reasons = [answer["detail"], *(each["message"] for each in answer.get("errors", ()))]
        raise LoadTestError(f"The service answered {response.status_code}: {' '.join(reasons)}")
    usage = answer["usage"]
    return answer["predictions"][0]["answer"], sum(usage.values()) - usage["tokens"]


def report(alone: Figures, long: Figures, *, windows: float, questions: int) -> str:
    """A Markdown table."""
    return "\n".join(
        [
            "| context | questions | exact match | f1 |",
            "|---|---|---|---|",
            f"| the paragraph alone | {questions} | {alone.exact_match:.4f} | {alone.f1:.4f} |",
            f"| at the end of a long one ({windows:.1f} windows) | {questions} | {long.exact_match:.4f} | "
            f"{long.f1:.4f} |",
        ]
    )


def holds(alone: Figures, long: Figures, *, ratio: float) -> bool:
    """Whether long contexts cost no more than they may.

    Raises:
        LoadTestError: If the comparison would mean nothing.
    """
    if alone.exact_match == 0:
        raise LoadTestError(
            "No question is answered about its own paragraph, so there is nothing to compare."
        )
    return long.exact_match >= ratio * alone.exact_match


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask every question both ways. Returns the exit code."""
    options = _parse(arguments)
    try:
        questions = read_questions(
            options.data, count=options.questions, words=options.words, seed=options.seed
        )
        short, long, windows = _ask_all(questions, options)
        alone, at_the_end = Figures.of(short, questions), Figures.of(long, questions)
        print(report(alone, at_the_end, windows=float(np.mean(windows)), questions=len(questions)))
        return 0 if holds(alone, at_the_end, ratio=options.ratio) else 1
    except LoadTestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _ask_all(
    questions: Sequence[Question], options: argparse.Namespace
) -> tuple[list[str], list[str], list[int]]:
    """Answers about the paragraphs alone, answers about the long contexts, and the windows of those."""
    short, long, windows = [], [], []
    with (
        serve(options.bundle, threads=options.threads, environment=LIMITS) as server,
        build_progress(Console(stderr=True)) as progress,
        httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client,
    ):
        bar = progress.add_task("asking", total=len(questions), note="")
        for each in questions:
            short.append(ask(client, options.task, each.text, each.paragraph)[0])
            answer, count = ask(client, options.task, each.text, each.long_context)
            long.append(answer)
            windows.append(count)
            progress.advance(bar)
    return short, long, windows


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.long_context", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--task", required=True, help="a question answering task of the bundle")
    parser.add_argument("--data", type=Path, required=True, help="JSON lines: question, context, answers")
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--words", type=int, default=3000, help="of other paragraphs before the right one")
    parser.add_argument("--ratio", type=float, default=LEAST_RATIO)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
