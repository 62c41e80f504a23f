"""Names that the bundle's parts have: kinds of tasks, graphs' inputs and outputs, files."""

from collections.abc import Mapping
from enum import StrEnum

MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
GOLDEN_FILE = "golden.jsonl"
MODEL_CARD_FILE = "MODEL_CARD.md"

PADDING_SEGMENT = -1
"""``segment_ids`` value of a row's unused tail. Real segments count from 0 across the whole batch."""

TASK_NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"


class TaskKind(StrEnum):
    """What a task answers; decides its input fields, loss, metric and decoding."""

    CLASSIFICATION = "classification"
    MULTI_LABEL = "multi_label"
    REGRESSION = "regression"
    PAIR_CLASSIFICATION = "pair_classification"
    PAIR_REGRESSION = "pair_regression"
    RANKING = "ranking"
    TAGGING = "tagging"
    QUESTION_ANSWERING = "question_answering"
    MULTIPLE_CHOICE = "multiple_choice"

    @property
    def takes_pair_mode(self) -> bool:
        """Whether two texts meet, as one sequence or apart: the task says which."""
        return self in (
            TaskKind.PAIR_CLASSIFICATION, TaskKind.PAIR_REGRESSION, TaskKind.RANKING, TaskKind.MULTIPLE_CHOICE
        )  # fmt: skip

    @property
    def has_labels(self) -> bool:
        """Whether the answer is made of the task's labels."""
        return self in (
            TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.PAIR_CLASSIFICATION, TaskKind.TAGGING
        )  # fmt: skip

    @property
    def is_token_level(self) -> bool:
        """Whether the head gives logits for every token instead of one row for a sequence or pair."""
        return self in (TaskKind.TAGGING, TaskKind.QUESTION_ANSWERING)


INPUT_FIELDS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.PAIR_CLASSIFICATION: ("text", "text_pair"),
    TaskKind.PAIR_REGRESSION: ("text", "text_pair"),
    TaskKind.RANKING: ("query", "documents"),
    TaskKind.TAGGING: ("text", "tokens"),
    TaskKind.QUESTION_ANSWERING: ("question", "context"),
    TaskKind.MULTIPLE_CHOICE: ("context", "question", "choices"),
}
"""Tagging takes ``text`` or ``tokens``; multiple choice ``choices`` and ``context``, ``question`` or both."""


class TagScheme(StrEnum):
    """How tags mark spans."""

    BIO = "bio"
    """``B-`` begins every span, ``I-`` continues it (IOB2)."""
    IOB1 = "iob1"
    """``I-`` begins a span too; ``B-`` only right behind a span of the same label."""
    IOBES = "iobes"
    """``B-``, ``I-``, ``E-`` for the last token, ``S-`` for a span of one token."""
    PLAIN = "plain"
    """A label for each token, no spans: parts of speech."""


class PairMode(StrEnum):
    """How two texts meet the encoder."""

    CROSS_ENCODER = "cross_encoder"
    """As one sequence: every pair is its own encoder row."""
    BI_ENCODER = "bi_encoder"
    """Apart: each text shares its encoder row with every other task on that text."""


class Pooling(StrEnum):
    """Poolings without parameters of a task: token states → one vector, or one for each layer."""

    CLS = "cls"
    MEAN = "mean"
    MAX = "max"
    POOLER = "pooler"
    """The encoder's own: a dense layer and tanh over the first token. Not every family has one."""
    CLS_LAYERS = "cls_layers"
    """The first token's state after the embeddings and after every layer: what a layer mix weighs."""
    MEAN_LAYERS = "mean_layers"
    """The mean of the token states after the embeddings and after every layer."""

    @property
    def is_layered(self) -> bool:
        """Whether vectors have shape ``(num_layers + 1, hidden_size)`` instead of ``(hidden_size,)``."""
        return self in (Pooling.CLS_LAYERS, Pooling.MEAN_LAYERS)

    @property
    def output_name(self) -> str:
        """Name of the encoder graph's output."""
        return f"pooled_{self.value}"


class Precision(StrEnum):
    """Numeric format of an encoder graph."""

    FP32 = "fp32"
    INT8 = "int8"
    FP16 = "fp16"


class HeadInput(StrEnum):
    """Inputs that a head graph may name."""

    POOLED = "pooled"
    """The text's (or cross-encoded pair's) vector. Shape ``(batch_size, hidden_size)``."""
    POOLED_A = "pooled_a"
    """First text of a bi-encoded pair. Shape ``(batch_size, hidden_size)``."""
    POOLED_B = "pooled_b"
    """Second text of a bi-encoded pair. Shape ``(batch_size, hidden_size)``."""
    LAST_HIDDEN_STATE = "last_hidden_state"
    """Token states in packed rows. Shape ``(rows, row_len, hidden_size)``."""
    SEGMENT_IDS = "segment_ids"
    """Which sequence each token of ``last_hidden_state`` belongs to. Shape ``(rows, row_len)``."""


class Layout(StrEnum):
    """How sequences lie in an encoder's rows."""

    PACKED = "packed"
    """End to end; attention keeps to the own segment."""
    PADDED = "padded"
    """One a row, for families whose attention cannot be masked by segment."""


class EncoderInput(StrEnum):
    """Inputs that an encoder graph may name. Each int64 of shape ``(rows, row_len)``."""

    INPUT_IDS = "input_ids"
    POSITION_IDS = "position_ids"
    SEGMENT_IDS = "segment_ids"
    TOKEN_TYPE_IDS = "token_type_ids"  # noqa: S105 - a tensor's name
