"""A bundle's files → what runs: the encoder and the heads apart, since models may share an encoder."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from export.manifest import BundleFileError, EncoderEntry, Precision
from service.bundle import Bundle, open_bundle
from service.cost import CostModel
from service.lanes import Crew, Way, candidate_ways
from service.packing import PackedBatch
from service.providers import ProviderUnavailableError, choose_provider
from service.sessions import EncoderSession, HeadSession, OnnxEncoderSession, OnnxHeadSession, open_graph
from service.settings import Provider, Settings
from service.tokenization import FastTokenizer, Tokenizer
from service.tuning import candidate_precisions, choose_way, every_lane_busy, time_in_turn
from service.warmup import full_batch, measure_cost

logger = logging.getLogger("bentoml.encodeonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderParts:
    """What belongs to the encoder alone."""

    entry: EncoderEntry
    """Of the bundle whose graph was loaded."""
    session: EncoderSession
    tokenizer: Tokenizer
    cost: CostModel
    provider: str


class Loader(Protocol):
    """Loads a bundle in steps. Each blocks: call it off the event loop."""

    def open(self, path: Path) -> Bundle:
        """Verify a bundle.

        Raises:
            BundleError: If it must not be served.
        """

    def load_encoder(self, bundle: Bundle) -> EncoderParts:
        """Load and measure the encoder. Takes seconds.

        Raises:
            BundleError: If it cannot be loaded.
            ProviderUnavailableError: If the asked provider is not there.
        """

    def load_heads(self, bundle: Bundle) -> Mapping[str, HeadSession]:
        """Load every task's head.

        Raises:
            BundleError: If one cannot be loaded.
        """


class BundleLoader:
    """Loads bundles from disk into ONNX Runtime, as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Measured once: a later measurement would meet the traffic, and a bundle with the encoder of another
        # must choose as that one did, or they could not share it.
        self._precisions: dict[tuple[str, tuple[Precision, ...]], Precision] = {}
        self._way: Way | None = None

    def open(self, path: Path) -> Bundle:
        """Verify a bundle completely, and choose the graph to run."""
        wanted = self._settings.precision
        if wanted != "auto":
            return open_bundle(path, wanted)
        bundle = open_bundle(path, Precision.FP32)
        candidates = candidate_precisions(bundle.manifest.encoder.graphs, self._provider)
        key = (bundle.manifest.encoder.fingerprint, candidates)
        if key not in self._precisions:
            with _blaming(bundle):
                self._precisions[key] = self._quickest_precision(bundle, candidates)
        return replace(bundle, precision=self._precisions[key])

    def load_encoder(self, bundle: Bundle) -> EncoderParts:
        """Open the graph, run it on made-up batches, and learn its cost."""
        settings, entry = self._settings, bundle.manifest.encoder
        with _blaming(bundle):
            session = self._best_session(bundle)
            cost = measure_cost(
                session, entry, row_len=settings.row_len, max_batch_tokens=settings.max_batch_tokens
            )
            return EncoderParts(
                entry=entry,
                session=session,
                tokenizer=FastTokenizer.from_file(
                    bundle.tokenizer_path,
                    max_length=entry.max_length,
                    max_window_tokens=settings.queue_tokens,
                ),
                cost=cost,
                provider=session.provider.value,
            )

    def load_heads(self, bundle: Bundle) -> Mapping[str, HeadSession]:
        """Open the head graphs."""
        with _blaming(bundle):
            return {task: OnnxHeadSession(bundle.head_path(task)) for task in bundle.manifest.tasks}

    @property
    def _provider(self) -> Provider:
        return choose_provider(self._settings.provider)

    def _quickest_precision(self, bundle: Bundle, candidates: Sequence[Precision]) -> Precision:
        if len(candidates) == 1:
            return candidates[0]
        way = Way(lanes=1, threads=self._settings.num_threads)
        sessions = {each: self._open_session(replace(bundle, precision=each), way) for each in candidates}
        batches = {each: self._full_batch(bundle, session) for each, session in sessions.items()}
        seconds = time_in_turn(
            {each: partial(session.encode, batches[each], with_states=False, crew=Crew.ALL)
             for each, session in sessions.items()}
        )  # fmt: skip
        best = min(seconds, key=lambda each: seconds[each])
        _tell(bundle, "precision", best, seconds)
        return best

    def _best_session(self, bundle: Bundle) -> OnnxEncoderSession:
        """The encoder with its threads divided in the way that is quickest here."""
        threads = self._settings.num_threads
        if self._provider is not Provider.CPU:
            self._way = Way(lanes=1, threads=threads)
        if self._way is not None:
            return self._open_session(bundle, self._way)
        ways = candidate_ways(threads)
        graphs = {
            count: open_graph(bundle.encoder_path, provider=self._provider, num_threads=count)
            for count in {threads, *(way.threads for way in ways)}
        }
        sessions = {
            way: OnnxEncoderSession(
                {Crew.ALL: graphs[threads], Crew.LANE: graphs[way.threads]},
                bundle.manifest.encoder,
                lanes=way.lanes,
                row_len=self._settings.row_len,
            )
            for way in ways
        }
        self._way = ways[0] if len(ways) == 1 else self._quickest_way(bundle, sessions)
        return sessions[self._way]

    def _quickest_way(self, bundle: Bundle, sessions: Mapping[Way, OnnxEncoderSession]) -> Way:
        with ExitStack() as stack:
            seconds = time_in_turn(
                {way: stack.enter_context(every_lane_busy(session, self._full_batch(bundle, session)))
                 for way, session in sessions.items()}
            )  # fmt: skip
        each = {way: found / way.lanes for way, found in seconds.items()}
        best = choose_way(each)
        _tell(bundle, "threads", best, each)
        return best

    def _open_session(self, bundle: Bundle, way: Way) -> OnnxEncoderSession:
        return OnnxEncoderSession.open(
            bundle.encoder_path,
            bundle.manifest.encoder,
            provider=self._provider,
            way=way,
            row_len=self._settings.row_len,
        )

    def _full_batch(self, bundle: Bundle, session: EncoderSession) -> PackedBatch:
        return full_batch(
            session,
            bundle.manifest.encoder,
            row_len=self._settings.row_len,
            max_batch_tokens=self._settings.max_batch_tokens,
        )


@contextmanager
def _blaming(bundle: Bundle) -> Iterator[None]:
    """Tell what a library has against a graph or a tokenizer as the bundle's fault.

    Raises:
        BundleFileError: For whatever goes wrong within: what the libraries raise has no other common type.
    """
    try:
        yield
    except ProviderUnavailableError:
        raise
    except Exception as error:
        raise BundleFileError(f"Bundle {bundle.path} cannot be loaded: {error}") from error


def _tell(bundle: Bundle, what: str, best: object, seconds: Mapping[Any, float]) -> None:
    found = ", ".join(f"{key} {1e3 * each:.1f} ms" for key, each in seconds.items())
    logger.info("Chose %s %s for %s: a full batch takes %s", what, best, bundle.manifest.name, found)
