"""What a user of BentoML writes: a batchable method over ONNX Runtime, one padded text a row."""

import os
from pathlib import Path

import bentoml


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Plain:
    """One task. A second one would be a second service with its own encoder."""

    def __init__(self) -> None:
        from loadtests.bare_loop import ONE_EACH, BareLoop, LoopShape
        from service.kinds.scores import softmax

        self._task = os.environ["PEER_TASK"]
        self._loop = BareLoop(Path(os.environ["PEER_BUNDLE"]), threads=int(os.environ["THREADS"]))
        self._loop.shape = LoopShape(row_len=ONE_EACH, batch_tokens=10**9)
        self._temperature = self._loop.manifest.tasks[self._task].temperature
        self._softmax = softmax

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)  # type: ignore[untyped-decorator]
    def predict(self, texts: list[str]) -> list[list[float]]:
        """Probabilities of each text."""
        logits = self._loop.logits(texts, [self._task])[self._task]
        return [self._softmax(row, temperature=self._temperature).tolist() for row in logits]
