"""A task's section of the YAML file → its kind."""

from training.config.losses import CrossEntropyConfig, FocalConfig, HuberConfig, MseConfig
from training.config.tasks import (
    ClassificationConfig,
    MultiLabelConfig,
    MultipleChoiceConfig,
    PairClassificationConfig,
    PairRegressionConfig,
    QuestionAnsweringConfig,
    RankingConfig,
    RegressionConfig,
    TaggingConfig,
    TaskConfig,
)
from training.kinds.base import Kind
from training.kinds.classification import Classification
from training.kinds.multi_label import MultiLabel
from training.kinds.multiple_choice import MultipleChoice
from training.kinds.question_answering import QuestionAnswering
from training.kinds.ranking import Ranking
from training.kinds.regression import Regression
from training.kinds.tagging import Tagging
from training.kinds.texts import Texts
from training.losses import LabelLoss, MultiLabelLoss, ValueLoss

DEFAULT_STRIDE = 32
STRIDE_DIVISOR = 4
"""The default stride is at most this part of ``max_length``."""


def build_kind(config: TaskConfig, *, max_length: int, seed: int) -> Kind:
    """The kind with its columns, labels and loss.

    Args:
        config: The task's section; a tagging task's with its labels.
        max_length: Of the encoder.
        seed: Of the run.
    """
    match config:
        case ClassificationConfig() | PairClassificationConfig():
            return Classification(
                texts=_texts(config),
                labels=config.labels,
                label_column=config.label,
                objective=_label_loss(config.loss),
            )
        case RegressionConfig() | PairRegressionConfig():
            return Regression(
                texts=_texts(config),
                label_column=config.label,
                range=config.range,
                objective=_value_loss(config.loss),
            )
        case MultiLabelConfig():
            loss = _label_loss(config.loss)
            return MultiLabel(
                texts=_texts(config),
                labels=config.labels,
                label_column=config.label,
                objective=MultiLabelLoss(
                    class_weights=loss.class_weights, label_smoothing=loss.label_smoothing, gamma=loss.gamma
                ),
            )
        case RankingConfig():
            return Ranking(
                query_column=config.query,
                document_column=config.document,
                label_column=config.label,
                group_column=config.group,
                is_bi_encoder=config.pair == "bi_encoder",
                objective=config.loss,
                max_candidates=config.max_candidates,
            )
        case TaggingConfig():
            return Tagging(
                labels=config.labels or (),
                scheme=config.scheme,
                tokens_column=config.tokens,
                label_column=config.label,
                objective=_label_loss(config.loss),
            )
        case QuestionAnsweringConfig():
            return QuestionAnswering(
                stride=min(DEFAULT_STRIDE, max_length // STRIDE_DIVISOR)
                if config.stride is None
                else config.stride,
                distractors=config.distractors,
                seed=seed,
                max_answer_tokens=config.max_answer_tokens,
                context_column=config.context,
                question_column=config.question,
                label_column=config.label,
            )
        case MultipleChoiceConfig():
            return MultipleChoice(
                context_column=config.context,
                question_column=config.question,
                choices_column=config.choices,
                label_column=config.label,
                is_bi_encoder=config.pair == "bi_encoder",
            )


def _texts(
    config: ClassificationConfig
    | MultiLabelConfig
    | RegressionConfig
    | PairClassificationConfig
    | PairRegressionConfig,
) -> Texts:
    if isinstance(config, PairClassificationConfig | PairRegressionConfig):
        return Texts(columns=config.text, bi_encoder=config.pair == "bi_encoder", symmetric=config.symmetric)
    return Texts(columns=(config.text,))


def _label_loss(config: CrossEntropyConfig | FocalConfig) -> LabelLoss:
    if isinstance(config, FocalConfig):
        return LabelLoss(class_weights=config.class_weights, gamma=config.gamma)
    return LabelLoss(class_weights=config.class_weights, label_smoothing=config.label_smoothing)


def _value_loss(config: MseConfig | HuberConfig) -> ValueLoss:
    return ValueLoss(delta=config.delta if isinstance(config, HuberConfig) else None)
