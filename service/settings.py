"""Everything that can be set from outside by ``ENCODEONCE_*`` variables."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from export.manifest import Precision
from service.cpus import usable_cpus

MIB = 1024 * 1024

DEFAULT_BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "support_desk"
"""Beside the ``service`` package: in the repository, and in a built bento whatever its working directory."""


class Provider(StrEnum):
    """Where the encoder runs."""

    AUTO = "auto"
    """CUDA where a device answers, else the CPU."""
    CPU = "cpu"
    CUDA = "cuda"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    """BentoML's."""
    JSON = "json"
    """An object a line."""


class CacheDtype(StrEnum):
    """Number format that encodings are kept in."""

    FP32 = "fp32"
    FP16 = "fp16"


def _redis_url(url: SecretStr) -> SecretStr:
    from redis.asyncio.connection import parse_url  # takes a while: only with a server

    try:
        parse_url(url.get_secret_value())
    except ValueError:
        # From None: the library's message may hold a part of the password.
        raise ValueError("expected redis://HOST:PORT/NUMBER, rediss://… or unix:///PATH") from None
    return url


class Settings(BaseSettings):
    """The variables as they are now. The service reads them at its start: a change takes a restart."""

    # Secrets are among the inputs.
    model_config = SettingsConfigDict(env_prefix="ENCODEONCE_", frozen=True, hide_input_in_errors=True)

    bundle: Path = Field(
        DEFAULT_BUNDLE,
        description="Folder of the bundle to serve. By default bundles/support_desk beside the code.",
    )
    precision: Precision | Literal["auto"] = Field(
        Precision.FP32,
        description="Encoder graph to run: fp32, another that the bundle has, or auto: the fastest of them, "
        "measured at the start.",
    )
    provider: Provider = Field(
        Provider.AUTO, description="auto, cpu or cuda. auto takes CUDA where a device answers."
    )
    threads: PositiveInt | Literal["auto"] = Field(
        "auto",
        description="Threads of the encoder on the CPU; auto: as many as usable cores. Whether they compute "
        "one batch together or one each is measured at the start.",
    )

    max_batch_tokens: PositiveInt = Field(
        256, description="Tokens of one encoder batch. A longer text goes alone."
    )
    row_len: PositiveInt = Field(
        64,
        description="Tokens of a packed row. Attention costs its square; a longer text gets a longer row.",
    )
    max_wait_s: PositiveFloat = Field(
        0.25, description="Seconds after which shorter texts may no longer overtake a waiting one."
    )
    queue_tokens: PositiveInt = Field(
        65_536, description="Tokens that may wait. Beyond, requests are refused (429)."
    )

    max_requests: PositiveInt = Field(
        1024, description="Requests under way at once. Beyond, they are refused before they are read (429)."
    )
    drain_s: PositiveFloat = Field(
        25.0, description="Seconds that requests under way may take after SIGTERM; then they are cut off."
    )

    pooled_cache_bytes: int = Field(
        256 * MIB, ge=0, description="Bytes of cached pooled vectors; 0 switches it off."
    )
    states_cache_bytes: int = Field(
        256 * MIB, ge=0, description="Bytes of cached token states; used only where a head needs them."
    )
    answer_cache_bytes: int = Field(
        16 * MIB,
        ge=0,
        description="Bytes of cached answers, for requests that come again as they were; 0: off.",
    )
    cache_dtype: CacheDtype = Field(
        CacheDtype.FP32,
        description="fp16 holds twice as many encodings. Every encoding is rounded to it, cached or not.",
    )

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        None, description="Redis or Valkey server that replicas share encodings through: redis://host:6379/0."
    )
    redis_prefix: str = Field("encodeonce:", description="Of every key on that server.")
    redis_ttl_s: PositiveInt = Field(86_400, description="Seconds that an encoding lives on that server.")
    redis_timeout_ms: PositiveInt = Field(
        20, description="Milliseconds that reading from that server may add to a request."
    )

    max_models: PositiveInt = Field(
        8, description="Models loaded at once, those included that finish their last requests."
    )
    admin_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of the admin API: `authorization: Bearer KEY`. Without one, it is off.",
    )
    admin_host: str = Field(
        "127.0.0.1", description="Address that the admin API listens on. By default the machine's own alone."
    )
    admin_port: Annotated[int, Field(ge=1, le=65_535)] | Literal["main"] = Field(
        3900, description="Port that the admin API listens on. `main` puts it on the service's own."
    )
    api_keys_file: Path | None = Field(
        None,
        description="File of API keys, made by `python -m service.keys`. Without one, anybody may ask.",
    )
    cache_per_key: bool = Field(
        False, description="Whether texts of one API key are kept apart from those of others in the cache."
    )
    metrics_need_key: bool = Field(
        False, description="Whether /metrics takes an API key. Health never does; all else does."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may call from a browser, joined by commas; `*` for any."
    )
    state_file: Path | None = Field(
        None,
        description="Remembers what the admin API loaded and routed, for a worker that restarts. "
        "By default a temporary file that ends with the service.",
    )

    max_inputs: PositiveInt = Field(
        1024,
        description="Inputs of one request; every document and every choice counts as one (413 beyond).",
    )
    max_body_bytes: PositiveInt = Field(8 * MIB, description="Bytes of one request body (413 beyond).")
    max_text_chars: PositiveInt = Field(
        100_000, description="Characters of one text, or of all tokens of an input together (422 beyond)."
    )
    timeout_s: PositiveFloat = Field(
        30.0, description="Seconds a request may take if it does not say (504 beyond)."
    )
    max_timeout_s: PositiveFloat = Field(
        120.0, description="Upper bound of the x-request-timeout-ms header, in seconds."
    )

    log_format: LogFormat = Field(LogFormat.TEXT, description="text, or json: an object a line.")
    access_log: bool = Field(
        False, description="Whether each request gets a log line: route, status, stages. Never its texts."
    )
    traces: bool = Field(
        False,
        description="Whether each request and stage becomes a span, sent by OTLP over HTTP to "
        "`OTEL_EXPORTER_OTLP_ENDPOINT`.",
    )

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """``cors_origins``, one by one."""
        return tuple(each.strip() for each in self.cors_origins.split(",") if each.strip())

    @property
    def admin_address(self) -> tuple[str, int] | None:
        """Host and port of the admin API's own listener; None where there is none."""
        if self.admin_key is None or self.admin_port == "main":
            return None
        return self.admin_host, self.admin_port

    @property
    def num_threads(self) -> int:
        """Encoder threads, with ``auto`` resolved to the cores this process may use."""
        return usable_cpus() if self.threads == "auto" else self.threads
