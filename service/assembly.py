"""Settings → a running service. The only code that sees all the parts."""

from dataclasses import dataclass

from service.batcher import Batcher
from service.batching import BatchingPolicy
from service.encoder_cache import EncoderCache
from service.engine import Engine
from service.metrics import Metrics
from service.models.encoders import EncoderHosts
from service.models.loading import BundleLoader, Loader
from service.models.registry import ModelRegistry
from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What the HTTP application serves."""

    settings: Settings
    metrics: Metrics
    cache: EncoderCache
    models: ModelRegistry

    @property
    def engine(self) -> Engine:
        """Of the model that answers by default. A request leases its model instead."""
        return self.models.default.engine

    @property
    def batcher(self) -> Batcher:
        """Of the default model's encoder."""
        return self.models.default.host.batcher

    async def close(self) -> None:
        """Stop the threads; requests that still wait are refused."""
        await self.models.close()


def connect(settings: Settings, loader: Loader) -> Runtime:
    """Wire everything up, with nothing loaded yet."""
    metrics = Metrics()
    cache = EncoderCache(pooled_bytes=settings.pooled_cache_bytes, states_bytes=settings.states_cache_bytes)
    encoders = EncoderHosts(
        policy=BatchingPolicy(
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.queue_tokens,
            max_wait_s=settings.max_wait_s,
        ),
        row_len=settings.row_len,
        cache=cache,
        on_batch=metrics.saw_batch,
    )
    models = ModelRegistry(loader, encoders, observer=metrics, row_len=settings.row_len)
    metrics.watch(models=models, encoders=encoders, cache=cache)
    return Runtime(settings=settings, metrics=metrics, cache=cache, models=models)


async def start(settings: Settings, loader: Loader) -> Runtime:
    """Load the settings' bundle.

    Raises:
        BundleError: If it must not be served.
        SelfCheckFailed: If its answers are not the model's.
        ProviderUnavailableError: If the asked provider is not there.
    """
    runtime = connect(settings, loader)
    try:
        await runtime.models.load(settings.bundle)
    except BaseException:
        await runtime.close()
        raise
    # The examples' encodings would make the first requests' usage depend on the self-check.
    runtime.cache.clear()
    return runtime


async def launch(settings: Settings) -> Runtime:
    """Start from the files on disk."""
    return await start(settings, BundleLoader(settings))
