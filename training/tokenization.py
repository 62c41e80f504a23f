"""Text → token ids, by `tokenizers` alone: the service does exactly the same from the same file."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from training.errors import WeightsError


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSequence:
    """One encoder input: a text, or a pair as one sequence.

    Attributes:
        input_ids: With special tokens.
        token_type_ids: 0 for the first text, 1 for the second of a cross-encoded pair.
    """

    input_ids: list[int]
    token_type_ids: list[int]

    @classmethod
    def of(cls, encoding: Encoding) -> "TokenSequence":
        """What the encoder reads of an encoding."""
        return cls(input_ids=encoding.ids, token_type_ids=encoding.type_ids)


def build_tokenizer(tokenizer_json: str, max_length: int) -> Tokenizer:
    """Load a tokenizer that truncates to ``max_length`` and never pads.

    Both settings are stored in published files (all-MiniLM-L6-v2's pads everything to 128 ids), so both
    are set here, and the file saved with a checkpoint says what training did.

    Args:
        tokenizer_json: Text of a ``tokenizer.json``.
        max_length: Tokens a sequence keeps, special tokens included; of a pair, the longer text loses first.

    Raises:
        WeightsError: If the text is no tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises nothing more special
        raise WeightsError(f"tokenizer.json cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    return tokenizer


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str] | Sequence[tuple[str, str]]
) -> list[TokenSequence]:
    """Encode texts, or pairs of texts as one sequence each."""
    return [TokenSequence.of(encoding) for encoding in tokenizer.encode_batch(list(texts))]
