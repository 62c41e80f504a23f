"""Measures ways to lay waiting texts into encoder batches, at several depths of the queue.

    python -m loadtests.batch_shapes [BUNDLE] [--precisions fp32 int8] [--depths 1 4 16 64] [--rounds 10]

packed         end to end in rows of ENCODEONCE_ROW_LEN tokens, all threads on one batch: the service's rows
lanes          the same rows, a part of the texts for each lane, all lanes at the same time
padded         a row for each text, texts of like lengths together, all threads on one batch
single rows    a batch for each text, all threads on it, one after the other

Each way encodes the same texts, in turn (A B C D A B …). The table has texts a second by `packed`, and the
others' share of it; brackets hold the lowest and the highest round. Tokens are ready before the clock starts.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from export.manifest import BundleError, EncoderEntry, Precision
from loadtests.arguments import positive
from loadtests.bare_loop import BareLoop
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.errors import LoadTestError
from loadtests.ratios import Ratio, Spread
from loadtests.report import look_around
from loadtests.texts import default_data_folder, load_sentences
from service.cpus import usable_cpus
from service.encoding import PackedEncoder
from service.lanes import Crew, Way
from service.packing import BucketedRows, PackedBatch, RowShapes, SingleRows
from service.sessions import EncoderOutputs, OnnxEncoderSession
from service.settings import Provider, Settings
from service.tokenization import TokenizedInput

PACKED = "packed"
Encode: TypeAlias = Callable[[Sequence[TokenizedInput]], object]


@contextmanager
def ways_to_encode(
    session: OnnxEncoderSession, entry: EncoderEntry, *, row_len: int
) -> Iterator[dict[str, Encode]]:
    """What encodes texts in each of the ways.

    Args:
        session: Of the graph, with a lane for each thread.
        entry: Of the manifest.
        row_len: Tokens of a packed row.
    """
    packed = _encoder(session, entry, BucketedRows(row_len=row_len))
    padded = _encoder(session, entry, SingleRows())
    with ThreadPoolExecutor(session.lanes) as threads:

        def in_lanes(texts: Sequence[TokenizedInput]) -> None:
            parts = [part for lane in range(session.lanes) if (part := texts[lane :: session.lanes])]
            list(threads.map(partial(packed.encode, crew=Crew.LANE), parts))

        def one_by_one(texts: Sequence[TokenizedInput]) -> None:
            for text in texts:
                packed.encode([text], Crew.ALL)

        yield {
            PACKED: partial(packed.encode, crew=Crew.ALL),
            "lanes": in_lanes,
            "padded": partial(padded.encode, crew=Crew.ALL),
            "single rows": one_by_one,
        }


def _encoder(session: OnnxEncoderSession, entry: EncoderEntry, shapes: RowShapes) -> PackedEncoder:
    return PackedEncoder(InRows(session, shapes), entry, needs_states=lambda _: False)


@dataclass(frozen=True, slots=True)
class InRows:
    """A session that takes its batches in rows of another shape."""

    session: OnnxEncoderSession
    row_shapes: RowShapes

    @property
    def lanes(self) -> int:
        """Of the session."""
        return self.session.lanes

    def encode(self, batch: PackedBatch, *, with_states: bool, crew: Crew) -> EncoderOutputs:
        """Run one batch."""
        return self.session.encode(batch, with_states=with_states, crew=crew)


def in_turn(
    ways: Mapping[str, Encode], texts: Sequence[TokenizedInput], *, depth: int, rounds: int
) -> dict[str, Spread]:
    """Texts a second of each way.

    Args:
        ways: Each is run once untimed.
        texts: At least ``depth``; every round takes the next ones, the same for all ways.
        depth: Texts that wait.
        rounds: Of all ways.
    """
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        start = number * depth % (len(texts) - depth + 1)
        waiting = texts[start : start + depth]
        for name, encode in ways.items():
            started_s = time.perf_counter()
            encode(waiting)
            seconds = time.perf_counter() - started_s
            if number:
                rates[name].append(depth / seconds)
    return {name: Spread(values=tuple(each)) for name, each in rates.items()}


def table(rates: Mapping[tuple[Precision, int], Mapping[str, Spread]]) -> str:
    """The report's table, in Markdown."""
    names = list(next(iter(rates.values())))
    others = " | ".join(f"{name} ÷ packed" for name in names[1:])
    lines = [
        f"| precision | texts wait | {PACKED}, texts/s | {others} |",
        "|---|---|---|" + "---|" * (len(names) - 1),
    ]
    for (precision, depth), found in rates.items():
        ratios = [Ratio(a=found[name], b=found[PACKED]) for name in names[1:]]
        cells = [
            f"{each.of_medians:.2f} ({each.of_pairs.low:.2f} to {each.of_pairs.high:.2f})" for each in ratios
        ]
        lines.append(f"| {precision.value} | {depth} | {found[PACKED].median:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(options: argparse.Namespace) -> str:
    """All tables' rows."""
    bare = BareLoop(options.bundle, threads=1)
    entry = bare.manifest.encoder
    texts = bare.tokenise(load_sentences(options.data)[: options.texts])
    rates = {}
    for precision in options.precisions:
        if precision not in entry.graphs:
            raise LoadTestError(
                f"{options.bundle} has no {precision.value} encoder; it has {', '.join(entry.graphs)}."
            )
        session = OnnxEncoderSession.open(
            options.bundle / entry.graphs[precision].file,
            entry,
            provider=Provider.CPU,
            way=Way(lanes=options.threads, threads=1),
            row_len=Settings().row_len,
        )
        with ways_to_encode(session, entry, row_len=Settings().row_len) as ways:
            for depth in options.depths:
                rates[precision, depth] = in_turn(ways, texts, depth=depth, rounds=options.rounds)
    return table(rates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.batch_shapes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        default=DEFAULT_BUNDLE,
        help="%(default)s, as `loadtests.bench` builds it",
    )
    parser.add_argument("--precisions", type=Precision, nargs="+", default=[Precision.FP32, Precision.INT8])
    parser.add_argument("--depths", type=positive, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--rounds", type=positive, default=10)
    parser.add_argument("--texts", type=positive, default=2048, help="that are taken from the data")
    parser.add_argument("--threads", type=positive, default=usable_cpus())
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    options = parser.parse_args(arguments)
    circumstances = look_around("python -m loadtests.batch_shapes", threads=options.threads)
    try:
        print(measure(options))
    except (LoadTestError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{circumstances}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
