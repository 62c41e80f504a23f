"""LitServe with dynamic batches: ``POST /predict {"text": …}``."""

import os

import litserve

from loadtests.peers.servers.classifier import Classifier


class Api(litserve.LitAPI):  # type: ignore[misc]
    """One worker, as the cores are few."""

    def setup(self, device: str) -> None:  # noqa: ARG002, D102
        self.classifier = Classifier()

    def decode_request(self, request: dict[str, str]) -> str:  # noqa: D102
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:  # noqa: D102
        return list(inputs)

    def predict(self, texts: list[str]) -> list[list[float]]:  # noqa: D102
        rows: list[list[float]] = self.classifier.scores(texts).tolist()
        return rows

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:  # noqa: D102
        return output

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:  # noqa: D102
        return {"scores": output}


if __name__ == "__main__":
    api = Api(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=30)
    server.run(
        host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning"
    )
