"""A bundle's files → what runs: the encoder and the heads apart, since models may share an encoder."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from export.manifest import EncoderEntry, Precision
from service.bundle import Bundle, open_bundle
from service.cost import CostModel
from service.cpus import usable_cpus
from service.providers import choose_provider
from service.sessions import EncoderSession, HeadSession, OnnxEncoderSession, OnnxHeadSession
from service.settings import Provider, Settings
from service.tokenization import FastTokenizer, Tokenizer
from service.tuning import Way, candidate_precisions, candidate_ways, time_in_turn
from service.warmup import full_batch, measure_cost

logger = logging.getLogger("bentoml.encodeonce")

K = TypeVar("K")


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
            ProviderUnavailableError: If the asked provider is not there.
        """

    def load_heads(self, bundle: Bundle) -> Mapping[str, HeadSession]:
        """Load every task's head."""


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
            self._precisions[key] = self._quickest_precision(bundle, candidates)
        return replace(bundle, precision=self._precisions[key])

    def load_encoder(self, bundle: Bundle) -> EncoderParts:
        """Open the graph, run it on made-up batches, and learn its cost."""
        settings, entry = self._settings, bundle.manifest.encoder
        session = self._best_session(bundle)
        cost = measure_cost(
            session, entry, row_len=settings.row_len, max_batch_tokens=settings.max_batch_tokens
        )
        return EncoderParts(
            entry=entry,
            session=session,
            tokenizer=FastTokenizer.from_file(bundle.tokenizer_path, max_length=entry.max_length),
            cost=cost,
            provider=session.provider.value,
        )

    def load_heads(self, bundle: Bundle) -> Mapping[str, HeadSession]:
        """Open the head graphs."""
        return {task: OnnxHeadSession(bundle.head_path(task)) for task in bundle.manifest.tasks}

    @property
    def _provider(self) -> Provider:
        return choose_provider(self._settings.provider)

    def _quickest_precision(self, bundle: Bundle, candidates: Sequence[Precision]) -> Precision:
        if len(candidates) == 1:
            return candidates[0]
        way = Way(lanes=1, threads=self._settings.num_threads)
        sessions = {each: self._open_session(replace(bundle, precision=each), way) for each in candidates}
        return self._quickest(bundle, "precision", sessions)

    def _best_session(self, bundle: Bundle) -> OnnxEncoderSession:
        """The encoder with the threads that were asked for, or with those that are quickest here."""
        settings = self._settings
        if settings.threads != "auto" or self._provider is not Provider.CPU:
            self._way = Way(lanes=1, threads=settings.num_threads)
        if self._way is not None:
            return self._open_session(bundle, self._way)
        sessions = {way: self._open_session(bundle, way) for way in candidate_ways(usable_cpus())}
        self._way = (
            next(iter(sessions)) if len(sessions) == 1 else self._quickest(bundle, "threads", sessions)
        )
        return sessions[self._way]

    def _open_session(self, bundle: Bundle, way: Way) -> OnnxEncoderSession:
        return OnnxEncoderSession(
            bundle.encoder_path,
            bundle.manifest.encoder,
            provider=self._provider,
            num_threads=way.threads,
            lanes=way.lanes,
            row_len=self._settings.row_len,
        )

    def _quickest(self, bundle: Bundle, what: str, sessions: Mapping[K, EncoderSession]) -> K:
        """Run a full batch by each session in turn."""
        entry, settings = bundle.manifest.encoder, self._settings
        batches = {
            key: full_batch(
                session, entry, row_len=settings.row_len, max_batch_tokens=settings.max_batch_tokens
            )
            for key, session in sessions.items()
        }
        seconds = time_in_turn(
            {key: partial(session.encode, batches[key], with_states=False)
             for key, session in sessions.items()}
        )  # fmt: skip
        best = min(seconds, key=lambda key: seconds[key])
        found = ", ".join(f"{key} {1e3 * each:.1f} ms" for key, each in seconds.items())
        logger.info("Chose %s %s for %s: a full batch takes %s", what, best, bundle.manifest.name, found)
        return best
