"""Ray Serve with ``@serve.batch``: ``POST /predict {"text": …}``."""

import os
import signal
from typing import Any

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(ray_actor_options={"num_cpus": 0.5}, max_ongoing_requests=64, max_queued_requests=200)
class Scores:
    """One replica, as the cores are few."""

    def __init__(self) -> None:
        from loadtests.peers.servers.classifier import Classifier

        self._classifier = Classifier()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)  # type: ignore[untyped-decorator]
    async def scores(self, texts: list[str]) -> list[list[float]]:  # noqa: D102
        rows: list[list[float]] = self._classifier.scores(texts).tolist()
        return rows

    async def __call__(self, request: Request) -> dict[str, Any]:
        """One text."""
        return {"scores": await self.scores((await request.json())["text"])}


if __name__ == "__main__":
    ray.init(num_cpus=int(os.environ["THREADS"]), include_dashboard=False, address="local")
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Scores.bind(), route_prefix="/predict")  # type: ignore[attr-defined]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
