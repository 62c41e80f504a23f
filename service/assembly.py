"""Settings → a running engine. The only code that sees all the parts."""

import asyncio
import logging
import time
from dataclasses import dataclass

from service.batcher import Batcher
from service.batching import BatchingPolicy
from service.bundle import Bundle, open_bundle
from service.cost import CostModel
from service.encoder_cache import EncoderCache, encoder_namespace
from service.encoding import PackedEncoder
from service.engine import Engine
from service.golden import check_golden
from service.heads import Head, HeadRunner
from service.kinds.registry import kind_of
from service.metrics import Metrics
from service.providers import choose_provider
from service.sessions import EncoderSession, HeadSession, OnnxEncoderSession, OnnxHeadSession
from service.settings import Settings
from service.shared_encoder import SharedEncoder
from service.tokenization import FastTokenizer, TokenizedInput, Tokenizer
from service.warmup import measure_cost

logger = logging.getLogger("bentoml.encodeonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is loaded from a bundle, before anything runs. Tests put fakes here."""

    bundle: Bundle
    tokenizer: Tokenizer
    encoder: EncoderSession
    heads: dict[str, HeadSession]
    cost: CostModel
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What the HTTP application serves."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    batcher: Batcher
    cache: EncoderCache

    async def close(self) -> None:
        """Stop the threads; requests that still wait are refused."""
        await self.batcher.close()
        self.engine.heads.close()
        self.engine.tokenizer.close()


def load_parts(settings: Settings) -> Parts:
    """Open the bundle, load its graphs, and measure the encoder. Takes seconds; call it off the event loop.

    Raises:
        BundleError: If the bundle must not be served.
        ProviderUnavailableError: If the asked provider is not there.
    """
    started_s = time.perf_counter()
    bundle = open_bundle(settings.bundle, settings.precision)
    entry = bundle.manifest.encoder
    encoder = OnnxEncoderSession(
        bundle.encoder_path,
        entry,
        provider=choose_provider(settings.provider),
        num_threads=settings.num_threads,
        row_len=settings.row_len,
    )
    cost = measure_cost(encoder, entry, row_len=settings.row_len, max_batch_tokens=settings.max_batch_tokens)
    parts = Parts(
        bundle=bundle,
        tokenizer=FastTokenizer.from_file(
            bundle.tokenizer_path,
            max_length=entry.max_length,
            strides={task.spans.stride for task in bundle.manifest.tasks.values() if task.spans is not None},
        ),
        encoder=encoder,
        heads={task: OnnxHeadSession(bundle.head_path(task)) for task in bundle.manifest.tasks},
        cost=cost,
        provider=encoder.provider.value,
    )
    logger.info(
        "Loaded %s %s (%s on %s, %d threads) in %.1f s: a short text takes %.1f ms, a full batch %.0f ms",
        bundle.manifest.name,
        bundle.manifest.version,
        bundle.precision.value,
        parts.provider,
        settings.num_threads,
        time.perf_counter() - started_s,
        1e3 * cost.sequence_s(16),
        1e3
        * cost.backlog_s(
            settings.max_batch_tokens, max_batch_tokens=settings.max_batch_tokens, row_len=settings.row_len
        ),
    )
    return parts


async def start(settings: Settings, parts: Parts) -> Runtime:
    """Connect the parts, start the batcher, and check the golden examples.

    Raises:
        SelfCheckFailed: If the answers are not the model's.
    """
    runtime = connect(settings, parts)
    runtime.batcher.start()
    try:
        await check_golden(runtime.engine, parts.bundle.golden, tolerance=parts.bundle.tolerance)
    except BaseException:
        await runtime.close()
        raise
    # The examples' encodings would make the first requests' usage depend on the self-check.
    runtime.cache.clear()
    logger.info("Ready: %d golden examples answered as the model does", len(parts.bundle.golden))
    return runtime


def connect(settings: Settings, parts: Parts) -> Runtime:
    """Wire the parts up, with nothing running yet."""
    manifest = parts.bundle.manifest
    kinds = {name: kind_of(task) for name, task in manifest.tasks.items()}
    forms_with_states = {kind.reader.reads_pairs for kind in kinds.values() if kind.reads_states}

    def needs_states(sequence: TokenizedInput) -> bool:
        return sequence.is_pair in forms_with_states

    metrics = Metrics()
    cache = EncoderCache(pooled_bytes=settings.pooled_cache_bytes, states_bytes=settings.states_cache_bytes)
    packed = PackedEncoder(
        parts.encoder, manifest.encoder, needs_states=needs_states, on_batch=metrics.saw_batch
    )
    batcher = Batcher(
        packed.encode,
        policy=BatchingPolicy(
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.queue_tokens,
            max_wait_s=settings.max_wait_s,
        ),
        cost=parts.cost,
        row_len=settings.row_len,
        on_encoded=lambda entry, encoding: cache.put(entry.key, encoding),
    )
    shared = SharedEncoder(
        batcher,
        cache,
        namespace=encoder_namespace(manifest, parts.bundle.precision),
        poolings=manifest.encoder.poolings,
        clock=time.monotonic,
    )
    heads = {
        name: Head(task=task, session=parts.heads[name], row_len=settings.row_len)
        for name, task in manifest.tasks.items()
    }
    engine = Engine(
        manifest=manifest,
        kinds=kinds,
        tokenizer=parts.tokenizer,
        encoder=shared,
        heads=HeadRunner(heads),
        observer=metrics,
    )
    metrics.watch(batcher=batcher, cache=cache)
    metrics.serve_bundle(
        name=manifest.name,
        version=manifest.version,
        fingerprint=manifest.encoder.fingerprint,
        precision=parts.bundle.precision.value,
        provider=parts.provider,
    )
    return Runtime(settings=settings, engine=engine, metrics=metrics, batcher=batcher, cache=cache)


async def launch(settings: Settings) -> Runtime:
    """Load off the event loop, then start on it."""
    return await start(settings, await asyncio.to_thread(load_parts, settings))
