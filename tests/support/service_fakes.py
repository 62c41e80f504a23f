"""Stand-ins for the service's seams: encoder, heads, tokenizer and clock, and a bundle made of them."""

import datetime as dt
import re
import threading
import zlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.manifest import (
    EncoderEntry,
    EncoderGraph,
    EncoderInput,
    FileEntry,
    GoldenExample,
    HeadEntry,
    HeadInput,
    Manifest,
    PairMode,
    Pooling,
    Precision,
    SpanSearch,
    TagScheme,
    TaskEntry,
    TaskKind,
)
from service.assembly import Runtime, start
from service.bundle import Bundle
from service.cost import CostModel
from service.lanes import Crew
from service.models.loading import EncoderParts
from service.packing import BucketedRows, PackedBatch, RowShapes
from service.sessions import EncoderOutputs, HeadSession
from service.settings import Settings
from service.tokenization import (
    ContextWindows,
    QuestionTooLong,
    TextPair,
    TextSequence,
    TokenizedInput,
    TokenOffsets,
    Windows,
)

HIDDEN_SIZE = 4
MAX_LENGTH = 24
FINGERPRINT = "f" * 64
CLS_ID, SEP_ID, POISON_ID = 1, 2, 3
POISON = "poison"
"""A word that makes the encoder fail."""
PATIENCE_S = 10.0
"""How long a gate waits before a broken test ends."""

CHEAP = CostModel(fixed_s=0.0, per_token_s=0.0, per_attention_s=0.0)


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


def tokens(*ids: int, types: Sequence[int] | None = None, is_pair: bool = False) -> TokenizedInput:
    """A sequence of these token ids."""
    return TokenizedInput(
        input_ids=np.array(ids, dtype=np.int32),
        token_type_ids=np.array(types if types is not None else [0] * len(ids), dtype=np.uint8),
        is_pair=is_pair,
        is_truncated=False,
    )


def sequence(length: int, first_id: int = 10) -> TokenizedInput:
    """A sequence of so many tokens."""
    return tokens(*range(first_id, first_id + length))


class FakeTokenizer:
    """A word is a token. Nothing is out of its vocabulary."""

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length

    async def tokenize(
        self, sequences: Sequence[TextSequence], *, with_offsets: Collection[int] = ()
    ) -> list[Windows]:
        return [
            self._windows(place, each)
            if isinstance(each, ContextWindows)
            else (self._encode(each, with_offsets=place in with_offsets),)
            for place, each in enumerate(sequences)
        ]

    def close(self) -> None:
        """Nothing to let go."""

    def _encode(self, each: str | TextPair, *, with_offsets: bool) -> TokenizedInput:
        texts = [each] if isinstance(each, str) else list(each)
        all_tokens = [SpecialToken(CLS_ID, 0)]
        for side, text in enumerate(texts):
            all_tokens += [WordToken(match, side) for match in WORD.finditer(text)]
            all_tokens.append(SpecialToken(SEP_ID, side))
        kept = all_tokens[: self._max_length]
        return tokenized(
            kept, is_pair=len(texts) == 2, with_offsets=with_offsets, is_truncated=len(kept) < len(all_tokens)
        )

    def _windows(self, place: int, each: ContextWindows) -> Windows:
        question = [WordToken(match, 0) for match in WORD.finditer(each.question)]
        context = [WordToken(match, 1) for match in WORD.finditer(each.context)]
        room = self._max_length - len(question) - 3
        if room <= each.stride:
            raise QuestionTooLong({place: f"{len(question)} words leave too few for the context."})
        starts = range(0, max(1, len(context) - each.stride), room - each.stride)
        cls, sep = SpecialToken(CLS_ID, 0), SpecialToken(SEP_ID, 0)
        return tuple(
            tokenized(
                [cls, *question, sep, *context[start : start + room], SpecialToken(SEP_ID, 1)],
                is_pair=True,
                with_offsets=True,
            )
            for start in starts
        )


WORD = re.compile(r"\S+")


class SpecialToken:
    """A token of no text."""

    def __init__(self, token_id: int, type_id: int) -> None:
        self.token_id, self.type_id = token_id, type_id
        self.span: tuple[int, int] = (0, 0)
        self.side: int | None = None


class WordToken(SpecialToken):
    """A word's token."""

    def __init__(self, match: re.Match[str], side: int) -> None:
        super().__init__(_word_id(match.group()), side)
        self.span, self.side = match.span(), side


def tokenized(
    each: Sequence[SpecialToken], *, is_pair: bool, with_offsets: bool, is_truncated: bool = False
) -> TokenizedInput:
    """A sequence of these tokens."""
    return TokenizedInput(
        input_ids=np.array([token.token_id for token in each], dtype=np.int32),
        token_type_ids=np.array([token.type_id for token in each], dtype=np.uint8),
        is_pair=is_pair,
        is_truncated=is_truncated,
        offsets=TokenOffsets(spans=[token.span for token in each], sides=[token.side for token in each])
        if with_offsets
        else None,
    )


def _word_id(word: str) -> int:
    return POISON_ID if word == POISON else 100 + zlib.crc32(word.encode()) % 1_000_000


class FakeEncoderSession:
    """A deterministic encoder with true attention borders: a token's state depends on its whole segment."""

    lanes = 1

    def __init__(self, row_shapes: RowShapes | None = None) -> None:
        self.row_shapes = row_shapes or BucketedRows(row_len=32)
        self.batches: list[PackedBatch] = []
        self.gate = threading.Event()
        """Cleared by a test to hold the encoder inside a batch."""
        self.gate.set()
        self.entered = threading.Event()
        """Set whenever a batch is begun."""
        self.is_lost = False
        """Whether it fails on everything, as a device does that is gone."""

    @property
    def rows_encoded(self) -> int:
        """Sequences that went through."""
        return sum(len(batch.placements) for batch in self.batches)

    def encode(
        self,
        batch: PackedBatch,
        *,
        with_states: bool,
        crew: Crew = Crew.ALL,
    ) -> EncoderOutputs:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S), "nobody opened the gate"
        self.batches.append(batch)
        if self.is_lost or (batch.input_ids == POISON_ID).any():
            raise RuntimeError("poisoned")
        states = token_states(batch)
        num_segments = int(batch.segment_ids.max()) + 1
        segments = [states[batch.segment_ids == segment] for segment in range(num_segments)]
        return EncoderOutputs(
            pooled={
                Pooling.CLS: np.stack([each[0] for each in segments]),
                Pooling.MEAN: np.stack([each.mean(axis=0) for each in segments]),
            },
            last_hidden_state=states if with_states else None,
        )


def token_states(batch: PackedBatch) -> NDArray[np.float32]:
    """Shape ``(rows, row_len, HIDDEN_SIZE)``."""
    states = np.zeros((*batch.shape, HIDDEN_SIZE), dtype=np.float32)
    for segment in range(int(batch.segment_ids.max()) + 1):
        here = batch.segment_ids == segment
        ids, positions = batch.input_ids[here], batch.position_ids[here]
        own = np.stack([np.sin(ids), np.cos(positions + ids), batch.token_type_ids[here], ids * 0.0], axis=1)
        own[:, 3] = np.sin(float(ids.sum()))
        states[here] = own
    return states


class FakeHeadSession:
    """A fixed linear layer: over the sum of its inputs, or over token states, summed or one by one."""

    def __init__(self, num_outputs: int, seed: int = 0, *, is_token_level: bool = False) -> None:
        self.calls = 0
        self.is_lost = False
        """Whether it fails on everything."""
        self._is_token_level = is_token_level
        self._weights = np.random.default_rng(seed).normal(size=(HIDDEN_SIZE, num_outputs)).astype(np.float32)

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        self.calls += 1
        if self.is_lost:
            raise RuntimeError("lost")
        if self._is_token_level:
            features = inputs[HeadInput.LAST_HIDDEN_STATE]
        elif HeadInput.LAST_HIDDEN_STATE in inputs:
            features = _segment_sums(inputs[HeadInput.LAST_HIDDEN_STATE], inputs[HeadInput.SEGMENT_IDS])
        else:
            features = sum(inputs.values(), start=np.zeros(()))
        logits: NDArray[np.float32] = (features @ self._weights).astype(np.float32)
        return logits


def _segment_sums(states: NDArray[Any], segment_ids: NDArray[Any]) -> NDArray[Any]:
    return np.stack([states[segment_ids == segment].sum(axis=0) for segment in range(segment_ids.max() + 1)])


STATES = ("last_hidden_state", "segment_ids")


def task(
    kind: str = "classification",
    *,
    pair: str | None = None,
    labels: tuple[str, ...] | None = ("no", "yes"),
    inputs: tuple[str, ...] | None = None,
    pooling: str = "mean",
    scheme: str = "bio",
    thresholds: tuple[float, ...] | None = None,
    temperature: float = 1.0,
    spans: SpanSearch | None = None,
    fingerprint: str = FINGERPRINT,
) -> TaskEntry:
    """A task of a manifest, with the inputs that its head must have where none are given."""
    kind = TaskKind(kind)
    labels = labels if kind.has_labels else None
    if inputs is None:
        inputs = (
            STATES[:1]
            if kind.is_token_level
            else ("pooled_a", "pooled_b")
            if pair == "bi_encoder"
            else ("pooled",)
        )
    is_qa, is_multi_label = kind is TaskKind.QUESTION_ANSWERING, kind is TaskKind.MULTI_LABEL
    return TaskEntry(
        kind=kind,
        pair=None if pair is None else PairMode(pair),
        pooling=None if "last_hidden_state" in inputs else Pooling(pooling),
        labels=labels,
        range=None,
        temperature=temperature,
        thresholds=(thresholds or (0.5,) * len(labels or ())) if is_multi_label else None,
        scheme=TagScheme(scheme) if kind is TaskKind.TAGGING else None,
        spans=(spans or SpanSearch(stride=2, max_answer_tokens=5)) if is_qa else None,
        head=HeadEntry(
            file="heads/any.onnx",
            inputs=tuple(HeadInput(name) for name in inputs),
            num_outputs=2 if is_qa else len(labels or (None,)),
            encoder_fingerprint=fingerprint,
            architecture="linear",
        ),
        metrics={"accuracy": 0.9},
    )


TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def tasks_of_every_kind() -> dict[str, TaskEntry]:
    """One task of every kind, and the pair modes."""
    return {
        "intent": task(labels=("ask", "buy", "leave")),
        "topics": task("multi_label", labels=("price", "size", "colour")),
        "mood": task("regression"),
        "duplicate": task("pair_classification", pair="cross_encoder"),
        "similar": task("pair_regression", pair="bi_encoder"),
        "article": task("ranking", pair="bi_encoder"),
        "passage": task("ranking", pair="cross_encoder"),
        "entities": task("tagging", labels=TAGS),
        "word_class": task("tagging", labels=("NOUN", "VERB"), scheme="plain"),
        "answer": task("question_answering"),
        "next_step": task("multiple_choice"),
    }


def default_tasks() -> dict[str, TaskEntry]:
    """Three tasks on a text, a cross-encoded and a bi-encoded one on pairs."""
    return {
        "intent": task(labels=("ask", "buy", "leave")),
        "sentiment": task("regression"),
        "urgency": task(pooling="cls"),
        "duplicate": task("pair_classification", pair="cross_encoder"),
        "similar": task("pair_regression", pair="bi_encoder"),
    }


def manifest(
    tasks: Mapping[str, TaskEntry] | None = None,
    *,
    fingerprint: str = FINGERPRINT,
    version: str = "1.2.3",
) -> Manifest:
    """A manifest that no files belong to."""
    tasks = {
        name: each.model_copy(
            update={"head": each.head.model_copy(update={"encoder_fingerprint": fingerprint})}
        )
        for name, each in (default_tasks() if tasks is None else tasks).items()
    }
    entry = FileEntry(sha256="0" * 64, size_bytes=0)
    other = FileEntry(sha256="1" * 64, size_bytes=0)
    return Manifest(
        name="fake",
        version=version,
        created_at=dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        encoder=EncoderEntry(
            model="fake-encoder",
            model_type="bert",
            fingerprint=fingerprint,
            hidden_size=HIDDEN_SIZE,
            num_layers=1,
            max_length=MAX_LENGTH,
            position_offset=0,
            pad_token_id=0,
            inputs=tuple(EncoderInput),
            poolings=(Pooling.CLS, Pooling.MEAN),
            default_pooling=Pooling.MEAN,
            graphs={
                Precision.FP32: EncoderGraph(file="encoder.onnx", tolerance=1e-4),
                Precision.INT8: EncoderGraph(file="encoder.int8.onnx", tolerance=1e-1),
            },
        ),
        tasks=tasks,
        files={
            "encoder.onnx": entry,
            "encoder.int8.onnx": other,
            "heads/any.onnx": entry,
            "tokenizer.json": entry,
            "golden.jsonl": entry,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a loader gives for one bundle."""

    bundle: Bundle
    encoder: EncoderParts
    heads: Mapping[str, HeadSession]


class FakeLoader:
    """Loads bundles that lie on no disk."""

    def __init__(self, *loaded: Parts) -> None:
        self._parts = {each.bundle.path: each for each in loaded}
        self.encoders_loaded: list[Path] = []

    def open(self, path: Path) -> Bundle:
        return self._parts[path].bundle

    def load_encoder(self, bundle: Bundle) -> EncoderParts:
        self.encoders_loaded.append(bundle.path)
        return self._parts[bundle.path].encoder

    def load_heads(self, bundle: Bundle) -> Mapping[str, HeadSession]:
        return self._parts[bundle.path].heads


def parts(
    tasks: Mapping[str, TaskEntry] | None = None,
    *,
    encoder: FakeEncoderSession | None = None,
    golden: Sequence[GoldenExample] = (),
    cost: CostModel = CHEAP,
    version: str = "1.2.3",
    fingerprint: str = FINGERPRINT,
) -> Parts:
    """A bundle of fakes, at a path that its version names. Other versions have other heads."""
    entry = manifest(tasks, fingerprint=fingerprint, version=version)
    return Parts(
        bundle=Bundle(
            path=Path("fake") / version, manifest=entry, precision=Precision.FP32, golden=tuple(golden)
        ),
        encoder=EncoderParts(
            entry=entry.encoder,
            session=encoder or FakeEncoderSession(),
            tokenizer=FakeTokenizer(entry.encoder.max_length),
            cost=cost,
            provider="cpu",
        ),
        heads={
            name: FakeHeadSession(
                each.head.num_outputs,
                zlib.crc32(f"{name} {version}".encode()),
                is_token_level=each.kind.is_token_level,
            )
            for name, each in entry.tasks.items()
        },
    )


@asynccontextmanager
async def running(*loaded: Parts, **settings: Any) -> AsyncIterator[Runtime]:
    """A started runtime of the first of these bundles, which can load the others."""
    runtime = await start(Settings(bundle=loaded[0].bundle.path, **settings), FakeLoader(*loaded))
    try:
        yield runtime
    finally:
        await runtime.close()
