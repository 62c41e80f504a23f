"""Texts and tasks → answers. Knows no HTTP.

plan ─▶ tokenise ─▶ encode (cache, single flight, queue, packed batches) ─▶ heads ─▶ decode
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from export.manifest import Manifest, Pooling, TaskEntry
from service.errors import DeadlineExceeded, UnknownTask
from service.heads import HeadRunner, Rows
from service.observer import Observer
from service.planning import Plan, plan
from service.postprocessing import Answer, decode
from service.shared_encoder import Encoded, Lookup, SharedEncoder
from service.tokenization import TextSequence, TokenizedInput, Tokenizer

EMBEDDINGS = "_embeddings"
"""What the embeddings route counts its look-ups under. No task can have this name."""


@dataclass(slots=True, kw_only=True)
class StageTimes:
    """Seconds that a request spent in each stage. Filled as stages end, so that a failed request has some."""

    tokenise: float = 0.0
    queue: float = 0.0
    encode: float = 0.0
    head: float = 0.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Answers of a request."""

    answers: list[dict[str, Answer]]
    """One for each input, by task."""
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of a request."""

    vectors: NDArray[np.float32]
    """Shape ``(inputs, hidden_size)``, unit length."""
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encodings:
    encoded: Encoded
    tokens: Sequence[TokenizedInput]

    def usage(self) -> Usage:
        lookups = self.encoded.lookups
        return Usage(
            tokens=sum(each.num_tokens for each in self.tokens),
            encoder_rows=lookups.count(Lookup.MISS),
            cache_hits=lookups.count(Lookup.HIT),
            coalesced=lookups.count(Lookup.COALESCED),
        )


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The whole line behind the API."""

    manifest: Manifest
    tokenizer: Tokenizer
    encoder: SharedEncoder
    heads: HeadRunner
    observer: Observer
    clock: Callable[[], float] = field(default=time.monotonic)

    def tasks_named(self, names: Sequence[str]) -> dict[str, TaskEntry]:
        """The tasks of these names.

        Raises:
            UnknownTask: Naming every one that is not there, and the ones that are.
        """
        known = self.manifest.tasks
        if unknown := [name for name in names if name not in known]:
            raise UnknownTask.named(unknown, list(known))
        return {name: known[name] for name in names}

    async def predict(
        self,
        inputs: Sequence[TextSequence],
        *,
        tasks: Sequence[str] | None = None,
        timeout_s: float,
        times: StageTimes | None = None,
    ) -> Prediction:
        """Answer every asked task that fits, on every input.

        Args:
            inputs: Texts and pairs.
            tasks: Names; ``None`` for all tasks of the bundle.
            timeout_s: Seconds this may take.
            times: Filled with the stages' seconds.

        Raises:
            ServiceError: As ``service.errors`` tells them apart.
        """
        entries = self.manifest.tasks if tasks is None else self.tasks_named(tasks)
        planned = plan(inputs, entries)
        logits, usage = await self.logits(planned, timeout_s=timeout_s, times=times or StageTimes())
        answers: list[dict[str, Answer]] = [{} for _ in inputs]
        for name, jobs in planned.jobs.items():
            for job, answer in zip(jobs, decode(entries[name], logits[name]), strict=True):
                answers[job.input_index][name] = answer
        return Prediction(answers=answers, usage=usage)

    async def embed(
        self, texts: Sequence[str], *, timeout_s: float, times: StageTimes | None = None
    ) -> Embeddings:
        """Pooled vectors of texts, by the bundle's default pooling, scaled to unit length.

        OpenAI's vectors have unit length, and its clients compare them by dot product.
        """
        times = times or StageTimes()
        sequences = [TextSequence(text=text) for text in texts]
        found = await self._encode(sequences, deadline_s=self.clock() + timeout_s, times=times)
        self.observer.saw_lookups(EMBEDDINGS, found.encoded.lookups)
        pooling = self.manifest.encoder.default_pooling
        return Embeddings(vectors=_unit_vectors(found.encoded, pooling), usage=found.usage())

    async def logits(
        self, planned: Plan, *, timeout_s: float, times: StageTimes
    ) -> tuple[dict[str, NDArray[np.float32]], Usage]:
        """Logits by task, one row for each of its jobs."""
        deadline_s = self.clock() + timeout_s
        found = await self._encode(planned.sequences, deadline_s=deadline_s, times=times)
        for name, jobs in planned.jobs.items():
            self.observer.saw_lookups(name, [found.encoded.lookups[i] for job in jobs for i in job.sequences])
        if self.clock() >= deadline_s:
            raise DeadlineExceeded("The deadline passed before the heads could run.")
        encodings = found.encoded.encodings
        rows: Mapping[str, Rows] = {
            name: [tuple(encodings[place] for place in job.sequences) for job in jobs]
            for name, jobs in planned.jobs.items()
        }
        started_s = self.clock()
        logits = await self.heads.run(rows)
        times.head = self.clock() - started_s
        return logits, found.usage()

    async def _encode(
        self, sequences: Sequence[TextSequence], *, deadline_s: float, times: StageTimes
    ) -> _Encodings:
        started_s = self.clock()
        tokens = await self.tokenizer.tokenize(sequences)
        times.tokenise = self.clock() - started_s
        encoded = await self.encoder.encode(tokens, deadline_s=deadline_s)
        times.queue, times.encode = encoded.queue_s, encoded.encode_s
        return _Encodings(encoded=encoded, tokens=tokens)


def _unit_vectors(encoded: Encoded, pooling: Pooling) -> NDArray[np.float32]:
    vectors = np.stack([each.pooled[pooling] for each in encoded.encodings])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit
