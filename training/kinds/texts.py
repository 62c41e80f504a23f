"""Inputs of one text, or of two: as one sequence (cross-encoder) or apart (bi-encoder)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.examples import EncodedExamples, Example, Examples
from training.kinds.cells import text_cell
from training.tokenization import encode_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The texts of an example.

    Attributes:
        columns: One, or two for a pair.
        bi_encoder: Whether a pair's texts are encoded apart.
        symmetric: Whether a pair's order carries no meaning: training then sees both.
    """

    columns: tuple[str, ...]
    bi_encoder: bool = False
    symmetric: bool = False

    @property
    def is_pair(self) -> bool:
        """Whether there are two."""
        return len(self.columns) == 2

    def parse(self, *cells: object) -> dict[str, Any]:
        """Check the cells of ``columns``. Returns the input as the HTTP API takes it.

        Raises:
            RowError: If one is no text, or empty.
        """
        texts = [text_cell(column, cell) for column, cell in zip(self.columns, cells, strict=True)]
        return dict(zip(("text", "text_pair"), texts, strict=False))

    def encode(
        self, examples: Examples, tokenizer: Tokenizer, target: Callable[[Any], NDArray[Any]]
    ) -> EncodedExamples:
        """Tokenise.

        Args:
            examples: Inputs from ``parse``.
            tokenizer: Truncates.
            target: An example's target → its entry of ``EncodedExamples.targets``.
        """
        texts: list[tuple[str, ...]] = [tuple(example.input.values()) for example in examples]
        columns: list[list[Any]]
        if self.is_pair and not self.bi_encoder:
            columns = [list(texts)]
        else:
            columns = [[each[number] for each in texts] for number in range(len(self.columns))]
        return EncodedExamples(
            sequences=list(zip(*(encode_texts(tokenizer, column) for column in columns), strict=True)),
            targets=[target(example.target) for example in examples],
            references=[example.target for example in examples],
            bi_encoded=self.bi_encoder,
        )

    def encode_for_training(
        self, examples: Examples, tokenizer: Tokenizer, target: Callable[[Any], NDArray[Any]]
    ) -> EncodedExamples:
        """Tokenise, symmetric pairs in both orders."""
        return self.encode(with_both_orders(examples) if self.symmetric else examples, tokenizer, target)


def with_both_orders(pairs: Examples) -> Examples:
    """Every pair, and behind them every pair the other way round."""
    swapped = tuple(
        Example(
            input={"text": each.input["text_pair"], "text_pair": each.input["text"]},
            target=each.target,
            row=each.row,
        )
        for each in pairs
    )
    return Examples(origin=pairs.origin, items=pairs.items + swapped)
