"""Two kinds of running services that are asked the same: ours and a peer."""

import contextlib
import http
import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loadtests.closed_loop import ClosedLoopRun, drive_closed_loop
from loadtests.errors import LoadTestError
from loadtests.peers.peer import Asking, Ours, Peer, Place
from loadtests.peers.venvs import venv_of
from loadtests.server import HOST, Server, family_of, free_port, running, serve

PEER_START_LIMIT_S = 240.0
PEER_POLL_S = 0.25
FIRST_TEXT = "Is anybody there?"
SMALL_CACHE_BYTES = 16 * 1024 * 1024
"""Of our cache where texts are to be new: it works as always, and has forgotten a text that comes again."""
JSON_HEADERS = {"content-type": "application/json", "accept": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A service that is ready, and how it is asked."""

    title: str
    asking: Asking
    server: Server
    counts_hits: bool = False
    """Whether its answers say what was found in a cache."""
    is_frozen: bool = False
    """Whether its processes stand still but within ``awake``."""

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let a frozen side run for the time of the block."""
        if self.is_frozen:
            thaw(self.server)
        try:
            yield
        finally:
            if self.is_frozen:
                freeze(self.server)

    def bodies(self, texts: Sequence[str]) -> list[str]:
        """A line for each request."""
        return [json.dumps(self.asking.body(text)) for text in texts]

    def drive(
        self, texts: Sequence[str], *, concurrency: int, window_s: float, warm_up_s: float
    ) -> ClosedLoopRun:
        """Ask in a closed loop.

        Raises:
            LoadTestError: If a request fails, or the texts run out.
        """
        with self.awake():
            return drive_closed_loop(
                self.server.url,
                self.asking.path,
                self.bodies(texts),
                concurrency=concurrency,
                window_s=window_s,
                warm_up_s=warm_up_s,
            )

    def answers(self, texts: Sequence[str], labels: Sequence[str]) -> list[dict[str, float]]:
        """Scores of each text, asked one after the other.

        Raises:
            LoadTestError: If a request fails, or an answer cannot be read.
        """
        connection = self.server.connect()
        try:
            with self.awake():
                return [self._answer(connection, text, labels) for text in texts]
        except (OSError, http.client.HTTPException) as error:
            raise LoadTestError(f"{self.title} broke off: {error!r}") from error
        finally:
            connection.close()

    def _answer(
        self, connection: http.client.HTTPConnection, text: str, labels: Sequence[str]
    ) -> dict[str, float]:
        answer = post_json(connection, self.asking.path, self.asking.body(text))
        try:
            return self.asking.scores(answer, labels)
        except (KeyError, TypeError, ValueError) as error:
            raise LoadTestError(
                f"{self.title} gave an answer that cannot be read: {answer!r:.500}"
            ) from error


def post_json(connection: http.client.HTTPConnection, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """One request.

    Raises:
        LoadTestError: If the answer is not 200.
    """
    connection.request("POST", path, body=json.dumps(body).encode(), headers=JSON_HEADERS)
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.HTTPStatus.OK:
        raise LoadTestError(f"{path} answered {response.status}: {answer[:500]!r}")
    return json.loads(answer)


@contextlib.contextmanager
def our_side(
    bundle: Path,
    task: str,
    *,
    threads: int,
    environment: Mapping[str, str] | None = None,
    asking: Asking | None = None,
) -> Iterator[Side]:
    """Our service for the time of the block, with a cache that forgets soon.

    Args:
        bundle: To serve.
        task: To ask.
        threads: Of the encoder.
        environment: Further settings.
        asking: Another way to ask.
    """
    variables = {"ENCODEONCE_POOLED_CACHE_BYTES": str(SMALL_CACHE_BYTES), **(environment or {})}
    with serve(bundle, threads=threads, environment=variables) as server:
        yield Side(title="EncodeOnce", asking=asking or Ours(task=task), server=server, counts_hits=True)


@contextlib.contextmanager
def peer_side(
    peer: Peer, *, folder: Path, model: Path, bundle: Path, task: str, threads: int
) -> Iterator[Side]:
    """A peer for the time of the block; ready once it has answered a text.

    One that is never idle is frozen while it is not asked. The others are not: PyTriton's processes watch
    each other, and end for good; BentoML's dispatcher takes that time for its batch's, and refuses everybody.

    Raises:
        LoadTestError: If it does not start. Carries the end of its log.
    """
    place = Place(
        venv=venv_of(peer, folder).absolute(),
        model=model,
        bundle=bundle,
        task=task,
        port=free_port(),
        threads=threads,
    )
    launch = peer.launch(place)
    with running(
        launch.command,
        port=place.port,
        environment=launch.environment,
        is_ready=lambda port: _answers(peer, port),
        folder=launch.folder,
        name=peer.title,
        limit_s=PEER_START_LIMIT_S,
        poll_s=PEER_POLL_S,
    ) as server:
        side = Side(title=peer.title, asking=peer, server=server, is_frozen=launch.is_never_idle)
        if side.is_frozen:
            freeze(server)
        try:
            yield side
        finally:
            thaw(server)  # else it could not end in order


def freeze(server: Server) -> None:
    """Stop all processes of a server where they are."""
    for process in family_of(server.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()


def thaw(server: Server) -> None:
    """Let them go on."""
    for process in family_of(server.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def _answers(peer: Peer, port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=30.0)
    try:
        post_json(connection, peer.path, peer.body(FIRST_TEXT))
    except (OSError, http.client.HTTPException, LoadTestError):
        return False
    finally:
        connection.close()
    return True
