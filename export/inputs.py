"""An input as the HTTP API takes it → the sequences that a task's head reads."""

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from export.manifest import INPUT_FIELDS, PairMode, TaskEntry, TaskKind
from training.kinds.windows import WindowEncoder
from training.tokenization import TokenSequence, encode_texts

LISTS = ("documents", "tokens", "choices")
"""Fields that hold several texts."""

_ALTERNATIVES: Mapping[TaskKind, tuple[tuple[str, ...], ...]] = {
    TaskKind.TAGGING: (("text",), ("tokens",)),
    TaskKind.MULTIPLE_CHOICE: (
        ("context", "choices"), ("question", "choices"), ("context", "question", "choices")
    ),
}  # fmt: skip


def accepted_fields(kind: TaskKind) -> tuple[tuple[str, ...], ...]:
    """The sets of fields that make an input."""
    return _ALTERNATIVES.get(kind, (INPUT_FIELDS.get(kind, ("text",)),))


def input_fault(kind: TaskKind, given: Mapping[str, Any]) -> str | None:
    """What keeps something from being an input of a kind, if anything."""
    accepted = accepted_fields(kind)
    if set(given) not in map(set, accepted):
        return f"expected {' or '.join(' and '.join(fields) for fields in accepted)}"
    for name, value in given.items():
        is_list = name in LISTS
        texts = value if is_list and isinstance(value, list | tuple) else [None if is_list else value]
        if not texts or not all(isinstance(text, str) for text in texts):
            return f"{name} should be {'a list of texts' if is_list else 'text'}"
    return None


def sequences_of(task: TaskEntry, given: Mapping[str, Any], tokenizer: Tokenizer) -> list[TokenSequence]:
    """Tokenise an input.

    Args:
        task: Which reads it.
        given: An input without ``input_fault``.
        tokenizer: The bundle's.

    Returns:
        For a bi-encoder the first sequence, then each that it meets; for question answering the windows.

    Raises:
        ValueError: If a question leaves no room for its context.
    """
    if task.kind is TaskKind.QUESTION_ANSWERING:
        assert task.spans is not None, "checked by the manifest"  # noqa: S101
        windows = WindowEncoder(tokenizer, stride=task.spans.stride)
        return [window.sequence for window in windows.encode(given["question"], given["context"])]
    return encode_texts(tokenizer, _texts(task, given))


def _texts(task: TaskEntry, given: Mapping[str, Any]) -> list[Any]:
    match task.kind:
        case TaskKind.TAGGING:
            return [given["text"] if "text" in given else " ".join(given["tokens"])]
        case TaskKind.MULTIPLE_CHOICE:
            first = " ".join(given[name] for name in ("context", "question") if name in given)
            others = given["choices"]
        case TaskKind.RANKING:
            first, others = given["query"], given["documents"]
        case TaskKind.PAIR_CLASSIFICATION | TaskKind.PAIR_REGRESSION:
            first, others = given["text"], [given["text_pair"]]
        case _:
            return [given["text"]]
    return [first, *others] if task.pair is PairMode.BI_ENCODER else [(first, other) for other in others]
