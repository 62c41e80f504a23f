"""Exact match and F1 of answers, as SQuAD's official evaluation script computes them.

Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250, §6.1; for questions without an answer Rajpurkar et
al. 2018, https://arxiv.org/abs/1806.03822.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """Lower case, without ASCII punctuation, English articles and extra whitespace."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1 if the answer is one of the right ones after normalising, else 0.

    Args:
        answer: Empty for no answer.
        golds: The right ones; none where the question has no answer.
    """
    return float(normalise(answer) in map(normalise, golds or ("",)))


def f1(answer: str, golds: Sequence[str]) -> float:
    """The best word overlap with one of the right answers.

    Args:
        answer: Empty for no answer.
        golds: The right ones; none where the question has no answer.
    """
    return max(_overlap(normalise(answer).split(), normalise(gold).split()) for gold in golds or ("",))


def _overlap(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    common = (Counter(answer) & Counter(gold)).total()
    return 2 * common / (len(answer) + len(gold))
