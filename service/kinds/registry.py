"""A manifest's task → its reader and decoder."""

from typing import Any

from export.manifest import PairMode, TagScheme, TaskEntry, TaskKind
from service.kinds.base import Decoder, Kind, Reader
from service.kinds.labels import LabelDecoder, MultiLabelDecoder
from service.kinds.multiple_choice import BiEncodedChoices, ChoiceDecoder, CrossEncodedChoices
from service.kinds.question_answering import ContextReader, SpanDecoder
from service.kinds.ranking import BiEncodedDocuments, CrossEncodedDocuments, RankingDecoder
from service.kinds.tagging import EntityDecoder, TaggedText, WordLabelDecoder
from service.kinds.texts import BiEncodedPair, CrossEncodedPair, SingleText
from service.kinds.values import ValueDecoder


def kind_of(entry: TaskEntry) -> Kind:
    """How a task is served."""
    return Kind(entry=entry, reader=_reader(entry), decoder=_decoder(entry))


def _reader(entry: TaskEntry) -> Reader[Any]:
    bi_encodes = entry.pair is PairMode.BI_ENCODER
    match entry.kind:
        case TaskKind.PAIR_CLASSIFICATION | TaskKind.PAIR_REGRESSION:
            return BiEncodedPair() if bi_encodes else CrossEncodedPair()
        case TaskKind.RANKING:
            return BiEncodedDocuments() if bi_encodes else CrossEncodedDocuments()
        case TaskKind.TAGGING:
            return TaggedText()
        case TaskKind.QUESTION_ANSWERING:
            assert entry.spans is not None, "checked by the manifest"  # noqa: S101
            return ContextReader(stride=entry.spans.stride)
        case TaskKind.MULTIPLE_CHOICE:
            return BiEncodedChoices() if bi_encodes else CrossEncodedChoices()
        case TaskKind.CLASSIFICATION | TaskKind.MULTI_LABEL | TaskKind.REGRESSION:
            return SingleText()


def _decoder(entry: TaskEntry) -> Decoder:
    labels, temperature = entry.labels or (), entry.temperature
    match entry.kind:
        case TaskKind.CLASSIFICATION | TaskKind.PAIR_CLASSIFICATION:
            return LabelDecoder(labels=labels, temperature=temperature)
        case TaskKind.MULTI_LABEL:
            return MultiLabelDecoder(
                labels=labels, thresholds=entry.thresholds or (), temperature=temperature
            )
        case TaskKind.REGRESSION | TaskKind.PAIR_REGRESSION:
            return ValueDecoder()
        case TaskKind.RANKING:
            return RankingDecoder(temperature=temperature)
        case TaskKind.TAGGING if entry.scheme is TagScheme.PLAIN:
            return WordLabelDecoder(labels=labels, temperature=temperature)
        case TaskKind.TAGGING:
            return EntityDecoder(labels=labels, temperature=temperature)
        case TaskKind.QUESTION_ANSWERING:
            assert entry.spans is not None, "checked by the manifest"  # noqa: S101
            return SpanDecoder(search=entry.spans, temperature=temperature)
        case TaskKind.MULTIPLE_CHOICE:
            return ChoiceDecoder(temperature=temperature)
