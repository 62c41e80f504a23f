"""The most this machine can do: a bundle's graphs in a plain loop, with nothing around them.

The texts are tokenised, sorted by length and packed before the clock starts. What remains is the encoder
graph and one head graph, called on one batch after the other by a session whose threads spin between batches
(nothing else wants the cores), with the service's number of threads and graph optimisations.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export.manifest import TOKENIZER_FILE, HeadInput, Manifest, Precision, TaskEntry, read_manifest
from service.packing import PackedBatch, RowLayout, pack
from service.sessions import SLOW_FUSIONS
from service.tokenization import FastTokenizer, TokenizedInput

ONE_EACH = 0
"""``row_len`` of rows that hold one sequence each: sorted by length, they have almost no padding either."""
ROW_LENS = (ONE_EACH, 32, 64, 128)
BATCH_TOKENS = (256, 512, 1024, 2048, 4096)
FINALISTS = 3
REPEATS = 3

FloatArray: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopShape:
    """How the loop lays sorted sequences into rows, and rows into batches."""

    row_len: int
    """Tokens of a row, or ``ONE_EACH``."""
    batch_tokens: int

    def __str__(self) -> str:
        rows = "one text a row" if self.row_len == ONE_EACH else f"rows of {self.row_len}"
        return f"{rows}, batches of {self.batch_tokens} tokens"

    def split(self, lengths: Sequence[int]) -> list[list[int]]:
        """The loop has cut its batches already."""
        return [list(range(len(lengths)))]

    def layout(self, lengths: Sequence[int]) -> RowLayout:
        """Fill rows in the given order (next fit); they are as long as the fullest of them."""
        rows: list[list[int]] = []
        room = 0
        for index, length in enumerate(lengths):
            if self.row_len == ONE_EACH or length > room:
                rows.append([])
                room = max(self.row_len, length)
            rows[-1].append(index)
            room -= length
        longest = max(sum(lengths[index] for index in row) for row in rows)
        return RowLayout(rows=tuple(map(tuple, rows)), row_len=longest)


class BareLoop:
    """A bundle's encoder and its heads on single texts, without a service."""

    def __init__(self, bundle: Path, *, threads: int, precision: Precision = Precision.FP32) -> None:
        self.manifest: Manifest = read_manifest(bundle)
        self.shape = LoopShape(row_len=128, batch_tokens=1024)
        encoder = self.manifest.encoder
        self._tokenizer = FastTokenizer.from_file(bundle / TOKENIZER_FILE, max_length=encoder.max_length)
        self._encoder = _open(bundle / encoder.graphs[precision].file, threads=threads)
        self._heads = {
            name: _open(bundle / task.head.file, threads=1) for name, task in self.single_text_tasks.items()
        }

    @property
    def single_text_tasks(self) -> dict[str, TaskEntry]:
        """Tasks that take one text and its pooled vector."""
        return {
            name: task
            for name, task in self.manifest.tasks.items()
            if task.input_fields == ("text",) and task.head.inputs == (HeadInput.POOLED,)
        }

    def tokenise(self, texts: Sequence[str]) -> list[TokenizedInput]:
        """Tokens of each text."""
        return [tokens for (tokens,) in asyncio.run(self._tokenizer.tokenize(texts))]

    def distinct(self, texts: Sequence[str]) -> list[str]:
        """Without texts that are the same to the encoder as an earlier one, such as in other letter case."""
        first: dict[bytes, str] = {}
        for text, tokens in zip(texts, self.tokenise(texts), strict=True):
            first.setdefault(tokens.input_ids.tobytes(), text)
        return list(first.values())

    def logits(self, texts: Sequence[str], tasks: Sequence[str]) -> dict[str, FloatArray]:
        """Logits by task, one row for each text."""
        sequences = self.tokenise(texts)
        (batch,) = self._pack(sequences, LoopShape(row_len=self.shape.row_len, batch_tokens=10**9))
        # `pack` numbers the segments in the order of the rows.
        order = [place.segment for place in batch.placements]
        return {task: self._run(batch, task)[order] for task in tasks}

    def texts_per_s(self, texts: Sequence[str], task: str) -> float:
        """Run the loop once over texts, in the best shape found so far."""
        return self._rate(self.tokenise(texts), task, self.shape)

    def find_shape(
        self, texts: Sequence[str], task: str, *, on_trial: Callable[[int, int], None] = lambda *_: None
    ) -> LoopShape:
        """Try every shape once on sample texts and the quickest few again; keep the best."""
        sequences = self.tokenise(texts)
        shapes = [
            LoopShape(row_len=row_len, batch_tokens=tokens)
            for row_len, tokens in product(ROW_LENS, BATCH_TOKENS)
        ]
        trials = len(shapes) + FINALISTS * REPEATS
        rates: dict[LoopShape, float] = {}
        for done, shape in enumerate(shapes, 1):
            rates[shape] = self._rate(sequences, task, shape)
            on_trial(done, trials)
        finalists = sorted(shapes, key=lambda each: -rates[each])[:FINALISTS]
        for repeat in range(REPEATS):
            for shape in finalists:
                rates[shape] = max(rates[shape], self._rate(sequences, task, shape))
            on_trial(len(shapes) + FINALISTS * (repeat + 1), trials)
        self.shape = max(finalists, key=lambda each: rates[each])
        return self.shape

    def _rate(self, sequences: Sequence[TokenizedInput], task: str, shape: LoopShape) -> float:
        batches = list(self._pack(sorted(sequences, key=lambda each: each.num_tokens), shape))
        started_s = time.perf_counter()
        for batch in batches:
            self._run(batch, task)
        return len(sequences) / (time.perf_counter() - started_s)

    def _run(self, batch: PackedBatch, task: str) -> FloatArray:
        feed = {name.value: getattr(batch, name.value) for name in self.manifest.encoder.inputs}
        pooling = self.manifest.tasks[task].pooling
        assert pooling is not None, "only heads over pooled vectors are run here"
        (pooled,) = self._encoder.run([pooling.output_name], feed)
        (logits,) = self._heads[task].run(["logits"], {HeadInput.POOLED.value: pooled})
        return np.asarray(logits, dtype=np.float32)

    def _pack(self, sequences: Sequence[TokenizedInput], shape: LoopShape) -> Iterator[PackedBatch]:
        encoder = self.manifest.encoder
        for group in _groups(sequences, shape.batch_tokens):
            yield pack(
                group, shape, pad_token_id=encoder.pad_token_id, position_offset=encoder.position_offset
            )


def _groups(sequences: Sequence[TokenizedInput], batch_tokens: int) -> Iterator[list[TokenizedInput]]:
    """Cut into runs of at most so many tokens, at least one sequence each."""
    group: list[TokenizedInput] = []
    tokens = 0
    for sequence in sequences:
        if group and tokens + sequence.num_tokens > batch_tokens:
            yield group
            group, tokens = [], 0
        group.append(sequence)
        tokens += sequence.num_tokens
    if group:
        yield group


def _open(path: Path, *, threads: int) -> Any:  # noqa: ANN401 - untyped library
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_FUSIONS
    )
