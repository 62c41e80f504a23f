"""A bundle's files → what runs: the encoder and the heads apart, since models may share an encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from export.manifest import EncoderEntry
from service.bundle import Bundle, open_bundle
from service.cost import CostModel
from service.providers import choose_provider
from service.sessions import EncoderSession, HeadSession, OnnxEncoderSession, OnnxHeadSession
from service.settings import Settings
from service.tokenization import FastTokenizer, Tokenizer
from service.warmup import measure_cost


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

    def open(self, path: Path) -> Bundle:
        """Verify a bundle completely."""
        return open_bundle(path, self._settings.precision)

    def load_encoder(self, bundle: Bundle) -> EncoderParts:
        """Open the graph, run it on made-up batches, and learn its cost."""
        settings, entry = self._settings, bundle.manifest.encoder
        session = OnnxEncoderSession(
            bundle.encoder_path,
            entry,
            provider=choose_provider(settings.provider),
            num_threads=settings.num_threads,
            row_len=settings.row_len,
        )
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
