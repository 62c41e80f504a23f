"""The YAML file's schema of tasks: a section for each kind."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from training.config.heads import HeadConfig, LinearHeadConfig, TaskPooling
from training.config.losses import CrossEntropyConfig, LabelLossConfig, MseConfig, ValueLossConfig
from training.config.section import Section

DATA_SUFFIXES = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}

Combine = Literal["concat", "diff_product", "full", "cosine"]
Column = Annotated[str, Field(min_length=1)]
Labels = Annotated[tuple[str, ...], Field(min_length=2)]
Bounds = tuple[float, float]


class HubSplit(Section):
    """A split of a dataset on the Hugging Face hub."""

    hub: str
    config: str | None = None
    split: str


Source = Annotated[
    Annotated[str, Tag("path")] | Annotated[HubSplit, Tag("hub_split")],
    Discriminator(lambda source: "path" if isinstance(source, str) else "hub_split"),
]


class DataConfig(Section):
    """Where a task's rows are: a ``.jsonl``, ``.csv`` or ``.parquet`` path, or a hub split."""

    train: Source
    dev: Source
    max_dev_rows: int | None = Field(default=None, gt=0)
    """Examples of dev that are measured, evenly spaced; all unless given."""


class _Task(Section):
    data: DataConfig
    label: Column = "label"
    head: HeadConfig = LinearHeadConfig()
    pooling: TaskPooling | None = None
    """Defaults to the encoder's; of a transformers class's head to what the class reads."""
    weight: float = Field(default=1.0, gt=0)
    """Factor of the task's loss."""
    learning_rate_factor: float = Field(default=1.0, gt=0)
    """Of the head's learning rate."""
    batch_size: int | None = Field(default=None, gt=0)
    """Defaults to the run's. Of ranking it counts queries, of multiple choice questions."""


class _SingleTask(_Task):
    text: Column = "text"


class _PairMode(_Task):
    pair: Literal["cross_encoder", "bi_encoder"]
    combine: Combine | None = None
    """How a bi-encoder joins its two vectors; ``diff_product`` unless said otherwise."""


class _PairTask(_PairMode):
    text: tuple[Column, Column] = ("text_a", "text_b")
    symmetric: bool = False
    """Whether the order of the two texts carries no meaning: training then sees every pair in both orders."""


class ClassificationConfig(_SingleTask):
    """One label for one text."""

    kind: Literal["classification"]
    labels: Labels
    loss: LabelLossConfig = CrossEntropyConfig()


class MultiLabelConfig(_SingleTask):
    """Any number of labels for one text."""

    kind: Literal["multi_label"]
    label: Column = "labels"
    """A column of lists of labels."""
    labels: Labels
    loss: LabelLossConfig = CrossEntropyConfig()


class RegressionConfig(_SingleTask):
    """One number for one text."""

    kind: Literal["regression"]
    range: Bounds | None = None
    loss: ValueLossConfig = MseConfig()


class PairClassificationConfig(_PairTask):
    """One label for two texts."""

    kind: Literal["pair_classification"]
    labels: Labels
    loss: LabelLossConfig = CrossEntropyConfig()


class PairRegressionConfig(_PairTask):
    """One number for two texts."""

    kind: Literal["pair_regression"]
    range: Bounds | None = None
    loss: ValueLossConfig = MseConfig()


class RankingConfig(_PairMode):
    """The documents that answer a query. A row is a query with one of its documents."""

    kind: Literal["ranking"]
    query: Column = "query"
    document: Column = "document"
    group: Column | None = None
    """Rows with the same entry belong together; without it, those with the same query."""
    loss: Literal["pointwise", "listwise"] = "pointwise"
    max_candidates: int = Field(default=16, ge=2)
    """Documents of a query that training sees at once; further ones come in lists of their own."""


class TaggingConfig(_Task):
    """A tag for each word."""

    kind: Literal["tagging"]
    tokens: Column = "tokens"
    label: Column = "tags"
    scheme: Literal["bio", "iob1", "iobes", "plain"] = "bio"
    labels: Labels | None = None
    """The tags; those of the train data unless given."""
    loss: LabelLossConfig = CrossEntropyConfig()


class QuestionAnsweringConfig(_Task):
    """The words of a context that answer a question, or none."""

    kind: Literal["question_answering"]
    context: Column = "context"
    question: Column = "question"
    label: Column = "answers"
    stride: int | None = Field(default=None, ge=0)
    """Tokens that neighbouring windows of a long context share; 32 or less, by ``max_length``."""
    distractors: int = Field(default=0, ge=0)
    """Other contexts that training shows beside each question, to learn that they have no answer. One helps
    where contexts are longer than ``max_length``; training takes as much longer."""
    max_answer_tokens: int = Field(default=30, gt=0)


class MultipleChoiceConfig(_PairMode):
    """One of several choices; a context, a question or both."""

    kind: Literal["multiple_choice"]
    pair: Literal["cross_encoder", "bi_encoder"] = "cross_encoder"
    """How context and question meet a choice."""
    context: Column | None = None
    question: Column | None = None
    choices: Column = "choices"


TaskConfig = Annotated[
    ClassificationConfig
    | MultiLabelConfig
    | RegressionConfig
    | PairClassificationConfig
    | PairRegressionConfig
    | RankingConfig
    | TaggingConfig
    | QuestionAnsweringConfig
    | MultipleChoiceConfig,
    Field(discriminator="kind"),
]

TASKS: Mapping[str, type[BaseModel]] = {
    "classification": ClassificationConfig,
    "multi_label": MultiLabelConfig,
    "regression": RegressionConfig,
    "pair_classification": PairClassificationConfig,
    "pair_regression": PairRegressionConfig,
    "ranking": RankingConfig,
    "tagging": TaggingConfig,
    "question_answering": QuestionAnsweringConfig,
    "multiple_choice": MultipleChoiceConfig,
    "path": HubSplit,
    "hub_split": HubSplit,
}
"""Names that pydantic puts into the place of a fault, and the section each means."""
