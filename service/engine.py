"""Inputs and tasks → answers. Knows no HTTP.

plan ─▶ tokenise ─▶ encode (cache, single flight, queue, packed batches) ─▶ heads ─▶ decode
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from export.manifest import Manifest
from service.deadline import TimeLimit
from service.decoding import AnswerDecoder, is_truncated
from service.errors import FieldError, InvalidRequest, UnknownTask
from service.gathering import Found, gather
from service.heads import HeadRunner
from service.inputs import TaskInput
from service.kinds.answers import Answer
from service.kinds.base import AnswerOptions, Kind, Readings
from service.observer import Observer
from service.planning import Plan, plan
from service.priorities import Priority
from service.shared_encoder import Lookup, SharedEncoder
from service.tokenization import QuestionTooLong, TextSequence, Tokenizer

EMBEDDINGS = "_embeddings"
"""What the embeddings route counts its look-ups under. No task can have this name."""

ANSWERED = "the request was answered"

DEFAULT_OPTIONS = AnswerOptions()


@dataclass(slots=True, kw_only=True)
class StageTimes:
    """Seconds that a request spent in each stage. Filled as stages end, so that a failed request has some."""

    tokenise: float = 0.0
    queue: float = 0.0
    encode: float = 0.0
    head: float = 0.0

    def by_stage(self) -> dict[str, float]:
        """Seconds by the stage's name, in the order of the work."""
        return {"tokenise": self.tokenise, "queue": self.queue, "encode": self.encode, "head": self.head}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a request cost. ``encoder_rows + cache_hits + coalesced`` is its number of sequences."""

    tokens: int
    """Of all sequences, found or computed."""
    encoder_rows: int
    """Sequences that this request made the encoder compute."""
    cache_hits: int
    coalesced: int
    """Sequences that were already on their way for somebody else, or asked for twice in this request."""

    def of_hits(self) -> "Usage":
        """Of the same request where everything is found."""
        num_sequences = self.encoder_rows + self.cache_hits + self.coalesced
        return Usage(tokens=self.tokens, encoder_rows=0, cache_hits=num_sequences, coalesced=0)

    def counts(self) -> dict[str, int]:
        """By name, as answers have them."""
        return {
            "tokens": self.tokens,
            "encoder_rows": self.encoder_rows,
            "cache_hits": self.cache_hits,
            "coalesced": self.coalesced,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the engine answers a request with, before model and version are written around it."""

    answers: list[dict[str, Answer]]
    """One for each input, by task."""
    sequences: dict[str, int]
    """By task, how many it read from the encoder."""
    usage: Usage

    def repeated(self) -> "Prediction":
        """The same, for somebody who finds all of it there."""
        return replace(self, usage=self.usage.of_hits())


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of a request's inputs, one each, by the bundle's default pooling."""

    vectors: NDArray[np.float32]
    """Shape ``(inputs, hidden_size)``."""
    is_truncated: list[bool]
    """Of each input, whether the encoder read only a part of it."""
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVectors:
    """Vectors of every token of a request's texts."""

    states: list[NDArray[np.floating]]
    """Of each text, shape ``(num_tokens, hidden_size)``, its special tokens included."""
    is_truncated: list[bool]
    """Of each text, whether the encoder read only a part of it."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """From texts and tasks to answers: plans, tokenises, encodes, runs heads, decodes. Knows no HTTP."""

    manifest: Manifest
    kinds: Mapping[str, Kind]
    """Every task of the bundle, by name."""
    tokenizer: Tokenizer
    encoder: SharedEncoder
    heads: HeadRunner
    decoder: AnswerDecoder
    observer: Observer
    clock: Callable[[], float] = field(default=time.monotonic)

    def tasks_named(self, names: Sequence[str]) -> dict[str, Kind]:
        """The tasks of these names.

        Raises:
            UnknownTask: Naming every one that is not there, and the ones that are.
        """
        if unknown := [name for name in names if name not in self.kinds]:
            raise UnknownTask.named(unknown, list(self.kinds))
        return {name: self.kinds[name] for name in names}

    async def predict(
        self,
        inputs: Sequence[TaskInput],
        *,
        tasks: Sequence[str] | None = None,
        options: AnswerOptions = DEFAULT_OPTIONS,
        tenant: str = "",
        timeout_s: float,
        times: StageTimes | None = None,
        priority: Priority | None = None,
    ) -> Prediction:
        """Answer every asked task that fits, on every input.

        Args:
            inputs: Of any forms.
            tasks: Names; ``None`` for all tasks of the bundle.
            options: What the answers say beside the most probable.
            tenant: Whose cache to use; tenants see nothing of each other's.
            timeout_s: Seconds this may take.
            times: Filled with the stages' seconds.
            priority: Share of the encoder; None if the request's size should tell.

        Raises:
            ServiceError: As ``service.errors`` tells them apart.
        """
        planned = plan(inputs, self.kinds if tasks is None else self.tasks_named(tasks))
        async with TimeLimit(timeout_s, until=ANSWERED):
            readings, usage = await self._read(
                planned,
                tenant=tenant,
                deadline_s=self.clock() + timeout_s,
                times=times or StageTimes(),
                priority=priority,
            )
            answers = await self.decoder.decode(planned, readings, options)
        return Prediction(
            answers=answers,
            sequences={name: sum(map(len, each.tokens)) for name, each in readings.items()},
            usage=usage,
        )

    def saw_repetition(self, prediction: Prediction) -> None:
        """An earlier prediction was given once more: all that its tasks had read was there."""
        for task, count in prediction.sequences.items():
            self.observer.saw_lookups(task, [Lookup.HIT] * count)

    async def embed(
        self,
        texts: Sequence[str],
        *,
        normalize: bool = True,
        tenant: str = "",
        timeout_s: float,
        times: StageTimes | None = None,
        priority: Priority | None = None,
    ) -> Embeddings:
        """Pooled vectors of texts, by the bundle's default pooling.

        They are scaled to unit length by default: OpenAI's are, and its clients compare them by dot product.
        """
        async with TimeLimit(timeout_s, until=ANSWERED):
            found = await self._encode(
                texts,
                tenant=tenant,
                deadline_s=self.clock() + timeout_s,
                times=times or StageTimes(),
                priority=priority,
            )
        self.observer.saw_lookups(EMBEDDINGS, found.encoded.lookups)
        pooling = self.manifest.encoder.default_pooling
        vectors = np.stack([each.pooled[pooling] for each in found.encoded.encodings], dtype=np.float32)
        return Embeddings(
            vectors=_unit(vectors) if normalize else vectors,
            is_truncated=list(map(is_truncated, found.windows)),
            usage=_usage(found),
        )

    @property
    def keeps_token_vectors(self) -> bool:
        """Whether texts keep their token states: some head over single texts must read them."""
        return any(kind.reads_states and not kind.reader.reads_pairs for kind in self.kinds.values())

    async def embed_tokens(
        self,
        texts: Sequence[str],
        *,
        tenant: str = "",
        timeout_s: float,
        times: StageTimes | None = None,
        priority: Priority | None = None,
    ) -> TokenVectors:
        """The encoder's last hidden states of texts, as they are.

        Raises:
            InvalidRequest: If no task of the bundle reads them, so that they are not kept.
        """
        if not self.keeps_token_vectors:
            raise InvalidRequest(
                "This bundle keeps no token vectors: none of its tasks on single texts reads them."
            )
        async with TimeLimit(timeout_s, until=ANSWERED):
            found = await self._encode(
                texts,
                with_states=range(len(texts)),
                tenant=tenant,
                deadline_s=self.clock() + timeout_s,
                times=times or StageTimes(),
                priority=priority,
            )
        self.observer.saw_lookups(EMBEDDINGS, found.encoded.lookups)
        states = [each.states for each in found.encoded.encodings if each.states is not None]
        assert len(states) == len(texts), "asked for with every text"  # noqa: S101
        return TokenVectors(states=states, is_truncated=list(map(is_truncated, found.windows)))

    async def read(self, planned: Plan, *, timeout_s: float) -> dict[str, Readings]:
        """What each task has to answer from, by its name.

        Raises:
            ServiceError: As ``service.errors`` tells them apart.
        """
        async with TimeLimit(timeout_s, until=ANSWERED):
            readings, _ = await self._read(
                planned, deadline_s=self.clock() + timeout_s, times=StageTimes(), priority=None
            )
        return readings

    def close(self) -> None:
        """Let the threads go that are its own."""
        self.heads.close()
        self.decoder.close()

    async def _read(
        self,
        planned: Plan,
        *,
        tenant: str = "",
        deadline_s: float,
        times: StageTimes,
        priority: Priority | None,
    ) -> tuple[dict[str, Readings], Usage]:
        try:
            found = await self._encode(
                planned.sequences,
                with_offsets=planned.with_offsets,
                with_states=planned.with_states,
                tenant=tenant,
                deadline_s=deadline_s,
                times=times,
                priority=priority,
            )
        except QuestionTooLong as error:
            faults = [
                FieldError(f"inputs.{index}.question", message)
                for index, message in planned.by_input(error.faults).items()
            ]
            raise InvalidRequest("Some questions are too long.", errors=faults) from None
        return await self._run_heads(planned, found, times), _usage(found)

    async def _run_heads(self, planned: Plan, found: Found, times: StageTimes) -> dict[str, Readings]:
        gathered = list(gather(planned, found))
        for each in gathered:
            for name in each.tasks:
                self.observer.saw_lookups(name, each.lookups)
        started_s = self.clock()
        rows = {name: each.rows for each in gathered for name in each.tasks}
        is_cached = all(how is Lookup.HIT for how in found.encoded.lookups)
        logits = await (self.heads.run_at_once(rows) if is_cached else self.heads.run(rows))
        times.head = self.clock() - started_s
        return {
            name: each.readings(logits[name], is_token_level=self.kinds[name].entry.kind.is_token_level)
            for each in gathered
            for name in each.tasks
        }

    async def _encode(
        self,
        sequences: Sequence[TextSequence],
        *,
        with_offsets: Collection[int] = (),
        with_states: Collection[int] = (),
        tenant: str = "",
        deadline_s: float,
        times: StageTimes,
        priority: Priority | None,
    ) -> Found:
        started_s = self.clock()
        windows = await self.tokenizer.tokenize(sequences, with_offsets=with_offsets)
        times.tokenise = self.clock() - started_s
        places = [place for place, each in enumerate(windows) for _ in each]
        encoded = await self.encoder.encode(
            [window for each in windows for window in each],
            with_states={index for index, place in enumerate(places) if place in with_states},
            tenant=tenant,
            deadline_s=deadline_s,
            priority=priority,
        )
        times.queue, times.encode = encoded.queue_s, encoded.encode_s
        return Found(windows=windows, encoded=encoded)


def _usage(found: Found) -> Usage:
    lookups = found.encoded.lookups
    return Usage(
        tokens=sum(window.num_tokens for each in found.windows for window in each),
        encoder_rows=lookups.count(Lookup.MISS),
        cache_hits=lookups.count(Lookup.HIT),
        coalesced=lookups.count(Lookup.COALESCED),
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit
