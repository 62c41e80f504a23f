"""The encoder families that are known to train, export and serve alike, and what sets them apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Attention(StrEnum):
    """Which masks a family's forward takes: what decides how its sequences may lie in a row."""

    FULL = "full"
    """Any mask of tokens by tokens, one for all layers."""
    FULL_AND_LOCAL = "full_and_local"
    """Two such masks: for the layers that see the whole sequence, and for those that see a window."""
    UNPADDED = "unpadded"
    """Padding can be masked, nothing else: one sequence a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What transformers' classes of one ``model_type`` have in common."""

    attention: Attention = Attention.FULL
    positions_follow_padding: bool = False
    """Whether ``position_ids`` count from ``pad_token_id + 1``, as fairseq's models do, instead of 0."""


_FROM_ZERO = Family()
_FAIRSEQ = Family(positions_follow_padding=True)
_UNPADDED = Family(attention=Attention.UNPADDED)

FAMILIES: Mapping[str, Family] = {
    "albert": _FROM_ZERO,
    "bert": _FROM_ZERO,
    "camembert": _FAIRSEQ,
    "data2vec-text": _FAIRSEQ,
    "deberta": _UNPADDED,
    "deberta-v2": _UNPADDED,
    "distilbert": _FROM_ZERO,
    "electra": _FROM_ZERO,
    "ernie": _FROM_ZERO,
    "megatron-bert": _FROM_ZERO,
    "modernbert": Family(attention=Attention.FULL_AND_LOCAL),
    "mpnet": _FAIRSEQ,
    "rembert": _FROM_ZERO,
    "roberta": _FAIRSEQ,
    "roberta-prelayernorm": _FAIRSEQ,
    "xlm-roberta": _FAIRSEQ,
    "xlm-roberta-xl": _FAIRSEQ,
}
"""By ``model_type``. Each is checked: its exported rows equal transformers' own forward."""
