"""A task's section of the YAML file → its kind."""

from training.config import (
    ClassificationConfig,
    PairClassificationConfig,
    PairRegressionConfig,
    RegressionConfig,
    TaskConfig,
)
from training.kinds.base import Kind
from training.kinds.classification import Classification
from training.kinds.regression import Regression
from training.kinds.texts import Texts


def build_kind(config: TaskConfig) -> Kind:
    """The kind with its columns, labels and loss."""
    match config:
        case ClassificationConfig() | PairClassificationConfig():
            return Classification(
                texts=_texts(config),
                labels=config.labels,
                label_column=config.label,
            )
        case RegressionConfig() | PairRegressionConfig():
            return Regression(
                texts=_texts(config),
                label_column=config.label,
                range=config.range,
            )


def _texts(
    config: ClassificationConfig | PairClassificationConfig | RegressionConfig | PairRegressionConfig,
) -> Texts:
    if isinstance(config, PairClassificationConfig | PairRegressionConfig):
        return Texts(columns=config.text, bi_encoder=config.pair == "bi_encoder", symmetric=config.symmetric)
    return Texts(columns=(config.text,))
