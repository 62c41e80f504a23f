"""Settings → a running service. The only code that sees all the parts."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.answer_cache import AnswerCache
from service.batcher import Batcher
from service.batching import BatchingPolicy
from service.encoder_cache import EncoderCache
from service.encoding import Rounding
from service.engine import Engine
from service.keys.ring import KeyRing
from service.metrics import Metrics
from service.models.administration import Administration
from service.models.encoders import EncoderHosts
from service.models.loading import BundleLoader, Loader
from service.models.registry import ModelRegistry
from service.models.shadowing import Shadows
from service.models.state import SavedModel, read_state, restore
from service.settings import LogFormat, Settings
from service.telemetry.finished import FinishedRequest
from service.telemetry.logs import SERVICE_LOGGER, log_request, use_json

if TYPE_CHECKING:
    from service.second_tier.redis import RedisTier
    from service.telemetry.traces import Tracing

logger = logging.getLogger("bentoml.encodeonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What the HTTP application serves."""

    settings: Settings
    metrics: Metrics
    cache: EncoderCache
    answers: AnswerCache
    models: ModelRegistry
    administration: Administration
    shadows: Shadows
    tier: "RedisTier | None"
    """Encodings shared with other replicas."""
    keys: KeyRing | None
    """API keys; None leaves the service open."""
    tracing: "Tracing | None" = None

    def saw_request(self, request: FinishedRequest) -> None:
        """Count an answered request, and log it if asked."""
        self.metrics.saw_request(request)
        if self.settings.access_log:
            log_request(request)

    @property
    def engine(self) -> Engine:
        """Of the model that answers by default. A request leases its model instead."""
        return self.models.default.engine

    @property
    def batcher(self) -> Batcher:
        """The queue of the default model's encoder."""
        return self.models.default.host.batcher

    async def close(self) -> None:
        """Stop the threads; requests that still wait are refused."""
        await self.shadows.close()
        await self.models.close()
        if self.tier is not None:
            await self.tier.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)


async def start(settings: Settings, loader: Loader) -> Runtime:
    """Load what a predecessor had loaded, or the settings' bundle.

    Raises:
        BundleError: If it must not be served.
        SelfCheckFailed: If its answers are not the model's.
        ProviderUnavailableError: If the asked provider is not there.
        KeyFileError: If the file of API keys cannot be used.
    """
    keys = KeyRing.read(settings.api_keys_file)
    if settings.log_format is LogFormat.JSON:
        use_json(logging.getLogger(SERVICE_LOGGER))
    metrics = Metrics()
    cache = EncoderCache(pooled_bytes=settings.pooled_cache_bytes, states_bytes=settings.states_cache_bytes)
    answers = AnswerCache(settings.answer_cache_bytes)
    tier = _second_tier(settings, metrics)
    models = _connect(settings, loader, metrics, cache, tier)
    metrics.watch_stores({"pooled": cache.pooled, "states": cache.states, "answers": answers.predictions})
    try:
        origin = await _load(settings, loader, models)
    except BaseException:
        await models.close()
        raise
    # The examples' encodings would make the first requests' usage depend on the self-check.
    cache.clear()
    return Runtime(
        settings=settings,
        metrics=metrics,
        cache=cache,
        answers=answers,
        models=models,
        administration=Administration(models, origin=origin, state_file=settings.state_file),
        shadows=Shadows(models),
        tier=tier,
        keys=keys,
        tracing=_tracing() if settings.traces else None,
    )


def _tracing() -> "Tracing":
    # Imported here: the SDK and the exporter take a tenth of a second, and most services do without.
    from service.telemetry.traces import Tracing, otlp_processor

    return Tracing(otlp_processor())


async def launch(settings: Settings) -> Runtime:
    """Start from the files on disk."""
    return await start(settings, BundleLoader(settings))


def _second_tier(settings: Settings, metrics: Metrics) -> "RedisTier | None":
    if settings.redis_url is None:
        return None
    from service.second_tier.redis import connect  # the library takes a while to import

    tier = connect(
        settings.redis_url.get_secret_value(),
        prefix=settings.redis_prefix,
        ttl_s=settings.redis_ttl_s,
        timeout_s=settings.redis_timeout_ms / 1e3,
        observer=metrics,
    )
    metrics.watch_tier(lambda: tier.is_gone)
    return tier


def _connect(
    settings: Settings,
    loader: Loader,
    metrics: Metrics,
    cache: EncoderCache,
    tier: "RedisTier | None",
) -> ModelRegistry:
    """Wire everything up, with nothing loaded yet."""
    encoders = EncoderHosts(
        policy=BatchingPolicy(
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.queue_tokens,
            max_wait_s=settings.max_wait_s,
        ),
        row_len=settings.row_len,
        cache=cache,
        tier=tier,
        rounding=Rounding(settings.cache_dtype),
        on_batch=metrics.saw_batch,
    )
    models = ModelRegistry(
        loader,
        encoders,
        observer=metrics,
        row_len=settings.row_len,
        max_models=settings.max_models,
        max_requests=settings.max_requests,
    )
    metrics.watch(models=models, encoders=encoders)
    return models


async def _load(settings: Settings, loader: Loader, models: ModelRegistry) -> SavedModel:
    file = settings.state_file
    if file is not None and file.exists():
        origin = SavedModel.of(await asyncio.to_thread(loader.open, settings.bundle))
        state = read_state(file, origin)
        if state is not None:
            try:
                await restore(models, state)
            except Exception:
                logger.exception("Starting from the settings: what %s names cannot be served", file)
                await models.close()
            else:
                return origin
    return SavedModel.of((await models.load(settings.bundle)).bundle)
