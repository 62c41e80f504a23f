"""B15: is a text's vector in int8 the same in any company?

The service's own packing and session: every text alone, then all of them in batches of the service's size, in
several orders. Three numbers are promised; the row's value is the first, the others must hold as well.
"""

import numpy as np
from numpy.typing import NDArray

from export.manifest import HeadInput, Precision
from loadtests.agreement import Agreement, agreement
from loadtests.errors import LoadTestError
from loadtests.measurements import Bench, OnStep
from loadtests.ratios import Spread
from loadtests.report import RowResult
from loadtests.targets import PLANNED
from service.encoding import PackedEncoder
from service.lanes import Crew, Way
from service.sessions import OnnxEncoderSession, OnnxHeadSession
from service.settings import Provider, Settings
from service.tokenization import TokenizedInput

ORDERS = 5
LEAST_COSINE = 0.999
LEAST_EQUAL_LABELS = 99.9
"""Percent."""


def measure_b15(bench: Bench, on_step: OnStep) -> RowResult:
    """int8 in company against alone.

    Raises:
        LoadTestError: If the bundle has no int8 encoder, or cosines or labels break their promise.
    """
    company = _Company(bench)
    sequences = bench.bare.tokenise(bench.texts[: bench.texts_per_run])
    alone = np.stack([company.encode([each])[0] for each in sequences])
    labels = company.labels(alone)
    shares: list[float] = []
    equal: list[float] = []
    worst: list[Agreement] = []
    for number in range(ORDERS):
        order = np.random.default_rng(number).permutation(len(sequences))
        found = np.empty_like(alone)
        found[order] = company.encode_in_batches([sequences[index] for index in order])
        worst.append(agreement(found, alone))
        shares.append(100 * worst[-1].near)
        equal.append(100 * float((company.labels(found) == labels).mean()))
        on_step(number + 1, ORDERS)
    cosine, gap = min(each.cosine_least for each in worst), max(each.largest_gap for each in worst)
    if cosine < LEAST_COSINE or min(equal) < LEAST_EQUAL_LABELS:
        raise LoadTestError(f"B15: least cosine {cosine:.6f}, {min(equal):.3f} % of the labels equal.")
    return RowResult(
        id="B15",
        what="int8 in company ÷ alone: vectors within 1e-3",
        value=min(shares),
        spread=Spread(values=tuple(shares)),
        target=PLANNED["B15"].target,
        detail=f"least cosine {cosine:.6f} (≥ {LEAST_COSINE}), labels equal {min(equal):.2f} % "
        f"(≥ {LEAST_EQUAL_LABELS}), largest gap {gap:.1e}, {len(sequences)} texts",
    )


class _Company:
    """The int8 encoder of a bundle, and its classification heads on single texts."""

    def __init__(self, bench: Bench) -> None:
        encoder = bench.bare.manifest.encoder
        if Precision.INT8 not in encoder.graphs:
            raise LoadTestError(f"{bench.bundle} has no int8 encoder. Export with --precisions int8.")
        self._budget = Settings().max_batch_tokens
        session = OnnxEncoderSession.open(
            bench.bundle / encoder.graphs[Precision.INT8].file,
            encoder,
            provider=Provider.CPU,
            way=Way(lanes=1, threads=bench.threads),
            row_len=Settings().row_len,
        )
        self._encoder = PackedEncoder(session, encoder, needs_states=lambda _: False)
        pooling = bench.bare.manifest.tasks[bench.task].pooling
        assert pooling is not None, "a task on single texts reads pooled vectors"
        self._pooling = pooling
        tasks = [task for task in bench.bare.single_text_tasks.values() if task.labels]
        self._heads = [
            OnnxHeadSession(bench.bundle / task.head.file) for task in tasks if task.pooling is pooling
        ]

    def encode(self, sequences: list[TokenizedInput]) -> NDArray[np.float32]:
        """Vectors of one batch. Shape ``(num_texts, hidden_size)``."""
        found = [each.pooled[self._pooling] for each in self._encoder.encode(sequences, Crew.ALL)]
        return np.stack(found, dtype=np.float32)

    def encode_in_batches(self, sequences: list[TokenizedInput]) -> NDArray[np.float32]:
        """Vectors, in batches of the service's size."""
        batches: list[list[TokenizedInput]] = [[]]
        for each in sequences:
            if batches[-1] and sum(s.num_tokens for s in batches[-1]) + each.num_tokens > self._budget:
                batches.append([])
            batches[-1].append(each)
        return np.concatenate([self.encode(batch) for batch in batches])

    def labels(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """What each head answers. Shape ``(num_texts, num_heads)``."""
        logits = [head.run({HeadInput.POOLED: vectors}) for head in self._heads]
        return np.stack([each.argmax(axis=1) for each in logits], axis=1)
