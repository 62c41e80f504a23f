"""Metrics in the field's definition. Of each list of names the first is the primary metric."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import f1_score as span_f1
from seqeval.metrics import precision_score as span_precision
from seqeval.metrics import recall_score as span_recall
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, matthews_corrcoef

LABELLED = ("accuracy", "f1_macro", "matthews")
MULTI_LABELLED = ("f1_micro", "f1_macro", "average_precision", "exact_match")
VALUED = ("pearson", "spearman", "mse")
RANKED = ("map", "mrr", "ndcg@10")
SPANS = ("f1", "precision", "recall", "accuracy")
TAGS = ("accuracy", "f1_macro")
ANSWERED = ("f1", "exact_match")
CHOSEN = ("accuracy",)

METRICS: Mapping[str, tuple[str, ...]] = {
    "classification": LABELLED,
    "multi_label": MULTI_LABELLED,
    "regression": VALUED,
    "pair_classification": LABELLED,
    "pair_regression": VALUED,
    "ranking": RANKED,
    "tagging": SPANS,
    "question_answering": ANSWERED,
    "multiple_choice": CHOSEN,
}
LOWER_IS_BETTER = frozenset({"mse"})
CUTOFF = 10
"""Documents that nDCG looks at."""


def metric_names(kind: str, scheme: str | None = None) -> tuple[str, ...]:
    """Names of a kind's metrics, the primary one first; none for an unknown kind.

    Args:
        kind: As in the YAML file.
        scheme: Of tagging; ``plain`` has no spans.
    """
    return TAGS if kind == "tagging" and scheme == "plain" else METRICS.get(kind, ())


def label_metrics(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """``LABELLED`` of one label an example.

    Args:
        predicted: Numbers of labels. Shape ``(num_examples,)``.
        labels: The right ones. Same shape.
    """
    # One class has no correlation with anything: scikit-learn also says 0, with a warning.
    constant = np.ptp(predicted) == 0 or np.ptp(labels) == 0
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1_macro": float(f1_score(labels, predicted, average="macro")),
        "matthews": 0.0 if constant else float(matthews_corrcoef(labels, predicted)),
    }


def multi_label_metrics(
    probabilities: NDArray[np.float64], thresholds: NDArray[np.float64], present: NDArray[np.float32]
) -> dict[str, float]:
    """``MULTI_LABELLED`` of any number of labels an example.

    ``average_precision`` is the mean over the labels that occur, and depends on no threshold.

    Args:
        probabilities: Shape ``(num_examples, num_labels)``.
        thresholds: From which each label is given. Shape ``(num_labels,)``.
        present: 1 or 0. Shape ``(num_examples, num_labels)``.
    """
    given = probabilities >= thresholds
    wanted = present > 0
    occurring = wanted.any(axis=0)
    return {
        "f1_micro": float(f1_score(wanted, given, average="micro", zero_division=0)),
        "f1_macro": float(f1_score(wanted, given, average="macro", zero_division=0)),
        "average_precision": float(
            average_precision_score(wanted[:, occurring], probabilities[:, occurring])
            if occurring.any()
            else 0.0
        ),
        "exact_match": float((given == wanted).all(axis=1).mean()),
    }


def value_metrics(predicted: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, float]:
    """``VALUED`` of one number an example. Both of shape ``(num_examples,)``."""
    # A constant has no correlation with anything: 0, not NaN, so that a collapsed model scores low.
    constant = np.ptp(predicted) == 0 or np.ptp(values) == 0
    return {
        "pearson": 0.0 if constant else float(pearsonr(predicted, values).statistic),
        "spearman": 0.0 if constant else float(spearmanr(predicted, values).statistic),
        "mse": float(np.mean((predicted - values) ** 2)),
    }


def ranking_metrics(
    scores: Sequence[NDArray[np.float32]], grades: Sequence[NDArray[np.float64]]
) -> dict[str, float]:
    """``RANKED``, each a mean over the queries with a relevant document: a grade above 0.

    Mean average precision and reciprocal rank ask only whether a document is relevant; nDCG (Järvelin &
    Kekäläinen 2002, https://doi.org/10.1145/582415.582418) gains the grade. Equal scores keep their order.

    Args:
        scores: Of each query's documents.
        grades: Likewise.
    """
    ranked = [
        grade[np.argsort(-score, kind="stable")]
        for score, grade in zip(scores, grades, strict=True)
        if (grade > 0).any()
    ]
    return {
        "map": _mean([_average_precision(grade > 0) for grade in ranked]),
        "mrr": _mean([1 / (1 + float((grade > 0).argmax())) for grade in ranked]),
        "ndcg@10": _mean([_gain(grade) / _gain(-np.sort(-grade)) for grade in ranked]),
    }


def span_metrics(predicted: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> dict[str, float]:
    """``SPANS``: whole spans found by seqeval's rules, CoNLL's, over all sentences; accuracy of the tags.

    Args:
        predicted: A tag for each word of each sentence.
        tags: The right ones.
    """
    found, wanted = [list(sentence) for sentence in predicted], [list(sentence) for sentence in tags]
    right = [
        a == b for one, other in zip(found, wanted, strict=True) for a, b in zip(one, other, strict=True)
    ]
    return {
        "f1": float(span_f1(wanted, found, zero_division=0)),
        "precision": float(span_precision(wanted, found, zero_division=0)),
        "recall": float(span_recall(wanted, found, zero_division=0)),
        "accuracy": _mean(right),
    }


def tag_metrics(predicted: NDArray[np.int64], tags: NDArray[np.int64]) -> dict[str, float]:
    """``TAGS`` of one tag a word.

    Args:
        predicted: Numbers of tags, −1 for a word that got none. Shape ``(num_words,)``.
        tags: The right ones. Same shape.
    """
    known = np.union1d(predicted[predicted >= 0], tags)
    return {
        "accuracy": _mean(list(predicted == tags)),
        "f1_macro": float(f1_score(tags, predicted, labels=known, average="macro", zero_division=0)),
    }


def _average_precision(is_relevant: NDArray[np.bool_]) -> float:
    ranks = np.flatnonzero(is_relevant) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def _gain(grades: NDArray[np.float64]) -> float:
    top = grades[:CUTOFF]
    return float((top / np.log2(np.arange(2, len(top) + 2))).sum())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
