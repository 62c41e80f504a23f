"""How large a cache, and how many replicas? The tables of docs/sizing.md.

    python -m loadtests.sizing [BUNDLE] [--token-us 150] [--output TABLES.md]

The encoder's cost of a token is measured as the service measures it when it starts, on this machine, unless
--token-us says it. Hit rates are simulated: Zipf traffic against the service's own cache. A minute.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from rich.console import Console

from export.manifest import BundleError, EncoderEntry, read_manifest
from loadtests.arguments import positive, positive_float
from loadtests.bench import ensure_bundle
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.capacity_model import ReplicaCost, replicas, token_s
from loadtests.errors import LoadTestError
from loadtests.zipf import ZipfTraffic, hit_rate
from service.cpus import usable_cpus
from service.models.loading import BundleLoader
from service.settings import MIB, Provider, Settings

REQUEST_MS = 0.8
"""Difference of a single text's and a bulk text's time on two cores: 1 ÷ 292 s less 1 ÷ 379 s, rows B3 and
B1 of docs/results/foundation_bench.md."""


def measured_token_s(bundle: Path, *, threads: int) -> float:
    """What a token costs this machine's encoder, in full batches.

    Raises:
        BundleError: If the bundle must not be served.
    """
    settings = Settings(bundle=bundle, threads=threads, provider=Provider.CPU)
    loader = BundleLoader(settings)
    cost = loader.load_encoder(loader.open(bundle)).cost
    return token_s(cost, max_batch_tokens=settings.max_batch_tokens, row_len=settings.row_len)


def simulator(encoder: EncoderEntry, options: argparse.Namespace) -> Callable[[float, int], float]:
    """Hit rate by exponent and MiB of cache, each simulated once."""

    @cache
    def simulated(exponent: float, mib: int) -> float:
        traffic = ZipfTraffic(num_texts=options.texts, exponent=exponent)
        return hit_rate(
            traffic,
            encoder,
            cache_bytes=mib * MIB,
            tokens=options.tokens,
            requests=options.requests,
            seed=options.seed,
        )

    return simulated


def hit_table(simulated: Callable[[float, int], float], options: argparse.Namespace) -> list[str]:
    """A row for each size, a column for each exponent."""
    columns = [f"exponent {exponent:g}" for exponent in options.exponents]
    return _table(
        ["cache", *columns],
        [
            [f"{mib} MiB", *(f"{simulated(exponent, mib):.0%}" for exponent in options.exponents)]
            for mib in options.cache_mib
        ],
    )


def replica_table(
    cost: ReplicaCost, simulated: Callable[[float, int], float], options: argparse.Namespace
) -> list[str]:
    """A row for each rate, a column for each exponent: caches apart, and added up."""
    mib = options.replica_cache_mib

    def needed(rate: float, exponent: float) -> str:
        apart, together = (
            replicas(cost, rate, rates, utilisation=options.utilisation)
            for rates in (lambda _: simulated(exponent, mib), lambda count: simulated(exponent, count * mib))
        )
        return f"{apart} / {together}"

    cold = [
        str(replicas(cost, rate, lambda _: 0.0, utilisation=options.utilisation)) for rate in options.rates
    ]
    return _table(
        ["texts/s", "no cache", *(f"exponent {exponent:g}" for exponent in options.exponents)],
        [
            [f"{rate:g}", without, *(needed(rate, exponent) for exponent in options.exponents)]
            for rate, without in zip(options.rates, cold, strict=True)
        ],
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def report(options: argparse.Namespace) -> str:
    """Both tables, with what they were made from.

    Raises:
        BundleError: If the bundle must not be served.
    """
    encoder = read_manifest(options.bundle).encoder
    if options.token_us:
        cost_s, source = options.token_us / 1e6, "given"
    else:
        cost_s = measured_token_s(options.bundle, threads=options.threads)
        source = f"measured with {options.threads} encoder threads"
    cost = ReplicaCost(request_s=options.request_ms / 1e3, token_s=cost_s, tokens=options.tokens)
    simulated = simulator(encoder, options)
    lines = [
        f"Hit rate by size of the cache: {options.texts} different texts of {options.tokens} tokens, vectors "
        f"of {encoder.hidden_size} numbers.",
        "",
        *hit_table(simulated, options),
        "",
        f"Replicas of {options.replica_cache_mib} MiB cache each, at most {options.utilisation:.0%} busy: "
        f"caches apart / added up. A token takes {1e6 * cost_s:.0f} µs ({source}), a request "
        f"{options.request_ms:g} ms beside it: one replica answers at most {cost.texts_per_s(0):.0f} cold "
        "texts a second.",
        "",
        *replica_table(cost, simulated, options),
        "",
        f"Command: `{' '.join(['python -m loadtests.sizing', shlex.join(sys.argv[1:])]).strip()}`",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        ensure_bundle(options.bundle, console)
        with console.status("simulating"):
            tables = report(options)
    except (BundleError, LoadTestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(tables)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(tables, encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.sizing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE, help="%(default)s, built if missing"
    )
    parser.add_argument("--output", type=Path, help="also write the tables here")
    add = parser.add_argument
    add("--token-us", type=positive_float, help="of the encoder for a token (default: measured)")
    add("--request-ms", type=positive_float, default=REQUEST_MS, help="beside the encoder (%(default)s)")
    add("--tokens", type=positive, default=18, help="of a text (%(default)s)")
    add("--texts", type=positive, default=100_000, help="different ones (%(default)s)")
    add("--requests", type=positive, default=400_000, help="that are simulated (%(default)s)")
    add("--exponents", type=positive_float, nargs="+", default=[0.8, 1.0, 1.2], help="of Zipf's law")
    add("--cache-mib", type=positive, nargs="+", default=[4, 16, 64, 128], help="of the first table")
    add("--replica-cache-mib", type=positive, default=16, help="of a replica in the second (%(default)s)")
    add("--rates", type=positive_float, nargs="+", default=[100.0, 300.0, 1000.0, 3000.0], help="texts/s")
    add("--utilisation", type=positive_float, default=0.7, help="of a replica (%(default)s)")
    add("--threads", type=positive, default=usable_cpus(), help="of the encoder (%(default)s)")
    add("--seed", type=int, default=0, help="of the requests")
    return parser


if __name__ == "__main__":
    sys.exit(main())
