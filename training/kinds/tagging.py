"""A tag for each word: entities by their spans, or parts of speech."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from training.batches import LabelledBatch
from training.calibration import fit_temperature
from training.examples import EncodedExamples, Examples
from training.kinds import forecasts
from training.kinds.base import UNCALIBRATED, Calibration, Forecasts, Kind, Logits, RowError
from training.kinds.cells import label_cell, list_cell, text_cells
from training.kinds.tag_schemes import OUTSIDE, PREFIXES
from training.losses import LabelLoss
from training.metrics import metric_names, span_metrics, tag_metrics
from training.tokenization import TokenSequence

NO_TOKEN = -1
IGNORED = -100
"""Target of tokens that carry no word's tag; PyTorch's cross-entropy leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedWords:
    """What one sentence's logits are compared with.

    Attributes:
        tokens: The token that carries each word's tag, ``NO_TOKEN`` beyond ``max_length``. Shape
            ``(num_words,)``.
        tags: Numbers of the right tags. Same shape.
    """

    tokens: NDArray[np.int64]
    tags: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Tagging(Kind):
    """``tagging``. A target is the numbers of the words' tags.

    The words go to the tokenizer joined by single spaces, and a word's first token carries its tag.

    Attributes:
        labels: The tags, in the order of the logits.
        scheme: ``bio``, ``iob1``, ``iobes`` or ``plain``.
        tokens_column: Column of the list of words.
        label_column: Column of the list of tags.
        objective: The loss.
    """

    is_token_level: ClassVar[bool] = True

    labels: tuple[str, ...]
    scheme: str = "bio"
    tokens_column: str = "tokens"
    label_column: str = "tags"
    objective: LabelLoss = field(default_factory=LabelLoss)

    @property
    def name(self) -> str:
        """``tagging``."""
        return "tagging"

    @property
    def num_outputs(self) -> int:
        """As many as there are tags."""
        return len(self.labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Of spans, or of tags where the scheme has none."""
        return metric_names(self.name, self.scheme)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the list of words, then of the list of tags."""
        return (self.tokens_column, self.label_column)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], tuple[int, ...]]:  # noqa: ANN401
        """The input, and each word's tag by its place among the tags."""
        listed, marked = cells
        tokens = text_cells(self.tokens_column, listed)
        if not tokens:
            raise RowError(f"{self.tokens_column} is empty")
        tags = list_cell(self.label_column, marked)
        if len(tags) != len(tokens):
            raise RowError(
                f"{self.label_column} should be as many as {self.tokens_column}, {len(tokens)}, "
                f"found {len(tags)}"
            )
        index = {name: number for number, name in enumerate(self.labels)}
        return {"tokens": list(tokens)}, tuple(
            label_cell(f"{self.label_column}[{number}]", tag, index) for number, tag in enumerate(tags)
        )

    def adapted(self, train: Examples) -> Self:
        """With class weights by what occurs in train, where ``balanced`` asks for them."""
        every = [number for example in train for number in example.target]
        counts = np.bincount(every, minlength=len(self.labels))
        return replace(self, objective=self.objective.balanced_by(counts))

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Targets of shape ``(num_tokens,)``."""
        encodings = tokenizer.encode_batch([" ".join(example.input["tokens"]) for example in examples])
        references = [
            TaggedWords(
                tokens=first_tokens(example.input["tokens"], encoding),
                tags=np.array(example.target, dtype=np.int64),
            )
            for example, encoding in zip(examples, encodings, strict=True)
        ]
        return EncodedExamples(
            sequences=[(TokenSequence.of(encoding),) for encoding in encodings],
            targets=[
                _targets(words, len(encoding.ids))
                for words, encoding in zip(references, encodings, strict=True)
            ],
            references=references,
        )

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Cross-entropy over the words, or as declared."""
        carries_tag = batch.targets != IGNORED
        if not carries_tag.any():  # words that the tokenizer knows no token for
            return logits.sum() * 0.0
        tokens = logits[batch.inputs.attention_mask.bool()]
        return self.objective(tokens[carries_tag], batch.targets[carries_tag])

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """Of every word; one beyond ``max_length`` counts as outside of all spans, or as wrong."""
        found = [_best(rows, words) for rows, words in zip(logits, examples.references, strict=True)]
        tags = [words.tags for words in examples.references]
        if self.scheme not in PREFIXES:
            return tag_metrics(np.concatenate(found), np.concatenate(tags))
        return span_metrics([self._names(each) for each in found], [self._names(each) for each in tags])

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration:
        """A temperature of the softmax over the tags."""
        return Calibration(temperature=fit_temperature(*_read_words(logits, examples)))

    def forecasts(self, logits: Logits, examples: EncodedExamples, calibration: Calibration) -> Forecasts:
        """That each word's best tag is the right one."""
        return forecasts.of_labels(*_read_words(logits, examples), calibration.temperature)

    def _names(self, numbers: NDArray[np.int64]) -> list[str]:
        return [OUTSIDE if number == NO_TOKEN else self.labels[number] for number in numbers]


def first_tokens(words: Sequence[str], encoding: Encoding) -> NDArray[np.int64]:
    """The first token of each word in an encoding of the words joined by single spaces.

    A token belongs to the word that its first character other than a space lies in: tokens of byte-level and
    SentencePiece tokenizers may begin with the space before.

    Returns:
        ``NO_TOKEN`` for words without one. Shape ``(num_words,)``.
    """
    text = " ".join(words)
    ends = np.cumsum([len(word) + 1 for word in words])
    found = np.full(len(words), NO_TOKEN)
    for token, ((start, end), side) in enumerate(zip(encoding.offsets, encoding.sequence_ids, strict=True)):
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if side is None or start >= end:
            continue
        word = int(np.searchsorted(ends, start, side="right"))
        if found[word] == NO_TOKEN:
            found[word] = token
    return found


def _targets(words: TaggedWords, num_tokens: int) -> NDArray[np.int64]:
    targets = np.full(num_tokens, IGNORED, dtype=np.int64)
    has_token = words.tokens != NO_TOKEN
    targets[words.tokens[has_token]] = words.tags[has_token]
    return targets


def _best(logits: NDArray[np.float32], words: TaggedWords) -> NDArray[np.int64]:
    """Numbers of the words' best tags, ``NO_TOKEN`` for words without a token. Shape ``(num_words,)``."""
    return np.where(words.tokens == NO_TOKEN, NO_TOKEN, logits.argmax(axis=1)[words.tokens])


def _read_words(logits: Logits, examples: EncodedExamples) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and tags of the words with a token. Shapes ``(num_words, num_tags)`` and ``(num_words,)``."""
    read = [words.tokens != NO_TOKEN for words in examples.references]
    pairs = list(zip(logits, examples.references, read, strict=True))
    return (
        np.concatenate([rows[words.tokens[has_token]] for rows, words, has_token in pairs]),
        np.concatenate([words.tags[has_token] for _, words, has_token in pairs]),
    )
