"""Triton's Python backend by PyTriton: ``POST /v2/models/sc/infer``."""

import os

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from loadtests.peers.servers.classifier import Classifier

classifier = Classifier()


@batch  # type: ignore[untyped-decorator]
def infer(text: NDArray[np.object_]) -> dict[str, NDArray[np.float32]]:
    """A batch of texts, each a tensor of one string."""
    return {"scores": classifier.scores([each[0].decode() for each in text]).numpy()}


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    config = TritonConfig(
        http_address="127.0.0.1", http_port=port, allow_grpc=False, allow_metrics=False, log_verbose=0
    )
    with Triton(config=config) as triton:
        triton.bind(
            "sc",
            infer,
            [Tensor(name="text", dtype=bytes, shape=(1,))],
            [Tensor(name="scores", dtype=np.float32, shape=(-1,))],
            config=ModelConfig(
                max_batch_size=32,
                batcher=DynamicBatcher(max_queue_delay_microseconds=2000),
                response_cache=False,
            ),
        )
        triton.serve()
