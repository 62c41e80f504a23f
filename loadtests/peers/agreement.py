"""Is it the same model? A peer whose answers differ is refused before any speed is measured."""

from collections.abc import Mapping, Sequence

from loadtests.answers import TOLERANCE
from loadtests.errors import LoadTestError


def compare_scores(
    ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]], *, title: str
) -> float:
    """Compare the labels and scores of two sides on the same texts.

    Args:
        ours: A score for each label, of each text.
        theirs: The same.
        title: Of the other side.

    Returns:
        The largest difference of a score.

    Raises:
        LoadTestError: If it is above ``TOLERANCE``, or a label differs that is not a tie within it; or if all
            texts have the same scores, so that nothing was compared.
    """
    differences = [
        max(abs(here[label] - there[label]) for label in here)
        for here, there in zip(ours, theirs, strict=True)
    ]
    worst = max(differences)
    if not all(each <= TOLERANCE for each in differences):  # so that no number is no agreement
        raise LoadTestError(
            f"{title} is refused: its scores differ by {worst:.2g} from ours; "
            f"at most {TOLERANCE:g} is the same model."
        )
    for here, there in zip(ours, theirs, strict=True):
        best = _best(there)
        if here[_best(here)] - here[best] > TOLERANCE:
            raise LoadTestError(f"{title} is refused: it says {best} where we say {_best(here)}.")
    spread = max(max(each[label] for each in ours) - min(each[label] for each in ours) for label in ours[0])
    if spread <= TOLERANCE:
        raise LoadTestError("All texts have the same scores: this model would hide any difference.")
    return worst


def _best(scores: Mapping[str, float]) -> str:
    return max(scores, key=lambda label: scores[label])
