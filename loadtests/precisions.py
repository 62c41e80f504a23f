"""Compares 8-bit forms of a bundle's encoder: CPU time, error, and what company does to a vector.

    python -m loadtests.precisions [--bundle BUNDLE] [--texts 512] [--rounds 10] [--output REPORT.md]

Every form is made from the bundle's fp32 graph, calibrated on sentences that are not measured. Time is the
process's CPU time on one thread, the quickest of several rounds in turn: it means something on a machine
that does other things, too, as far as caches and clocks are not shared. Vectors are mean-pooled. *To fp32*
compares with the fp32 graph; *in company* compares each text alone with the same text in full batches, in
two orders.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from export.manifest import TOKENIZER_FILE, BundleError, EncoderEntry, Pooling, Precision, read_manifest
from export.packing import PackedRows, pack_rows
from export.precisions.ranges import ChannelRange, measure_ranges
from loadtests.agreement import Agreement, agreement
from loadtests.bundle import DEFAULT_BUNDLE
from loadtests.errors import LoadTestError
from loadtests.report import Circumstances, look_around
from loadtests.texts import default_data_folder, load_sentences
from loadtests.variants import VARIANTS
from service.sessions import SLOW_FUSIONS
from training.tokenization import TokenSequence, build_tokenizer, encode_texts

CALIBRATION_TEXTS = 512
BATCH_TEXTS = 24
"""About 500 tokens of real sentences."""
ROW_LEN = 64
TIMED_BATCHES = 4
ALL_FUSIONS = "fp32, with the fusions that the service leaves out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One form's line."""

    name: str
    cpu_s: float
    """Of one batch."""
    to_fp32: Agreement
    in_company: Agreement


class Encoder:
    """One form's graph."""

    def __init__(
        self, model: onnx.ModelProto, entry: EncoderEntry, *, left_out: Sequence[str] = SLOW_FUSIONS
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_mem_pattern = False
        self._session: Any = onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(left_out),
        )
        self._entry = entry

    def pack(self, sequences: Sequence[TokenSequence]) -> PackedRows:
        """Rows of a batch."""
        return pack_rows(
            sequences,
            row_len=max(ROW_LEN, *(len(each.input_ids) for each in sequences)),
            position_offset=self._entry.position_offset,
            pad_token_id=self._entry.pad_token_id,
            layout=self._entry.layout,
        )

    def run(self, rows: PackedRows) -> NDArray[np.float32]:
        """Mean-pooled vectors of a batch."""
        (vectors,) = self._session.run([Pooling.MEAN.output_name], rows.feed(self._entry))
        return np.asarray(vectors)

    def vectors(self, sequences: Sequence[TokenSequence], *, batch_texts: int) -> NDArray[np.float32]:
        """Mean-pooled vectors, in order."""
        starts = range(0, len(sequences), batch_texts)
        return np.concatenate([self.run(self.pack(sequences[at : at + batch_texts])) for at in starts])


def compare(
    model: onnx.ModelProto,
    entry: EncoderEntry,
    ranges: Mapping[str, ChannelRange],
    sequences: Sequence[TokenSequence],
    *,
    rounds: int,
    console: Console,
) -> list[Result]:
    """Measure every form on the same texts."""
    encoders = {name: Encoder(build(model, ranges), entry) for name, build in VARIANTS.items()}
    encoders[ALL_FUSIONS] = Encoder(model, entry, left_out=())
    times: dict[str, list[float]] = {name: [] for name in encoders}
    reference = encoders["fp32"].vectors(sequences, batch_texts=BATCH_TEXTS)
    batches = [
        encoders["fp32"].pack(sequences[at : at + BATCH_TEXTS])
        for at in range(0, min(len(sequences), TIMED_BATCHES * BATCH_TEXTS), BATCH_TEXTS)
    ]
    for _ in track(range(rounds), "timing", console=console, disable=not console.is_terminal):
        for name, encoder in encoders.items():
            started_s = time.process_time()
            for batch in batches:
                encoder.run(batch)
            times[name].append((time.process_time() - started_s) / len(batches))
    return [
        _measure(name, encoder, sequences, reference, cpu_s=min(times[name]))
        for name, encoder in track(
            encoders.items(), "comparing", console=console, disable=not console.is_terminal
        )
    ]


def _measure(
    name: str,
    encoder: Encoder,
    sequences: Sequence[TokenSequence],
    reference: NDArray[np.float32],
    *,
    cpu_s: float,
) -> Result:
    alone = encoder.vectors(sequences, batch_texts=1)
    together = encoder.vectors(sequences, batch_texts=BATCH_TEXTS)
    backwards = encoder.vectors(sequences[::-1], batch_texts=BATCH_TEXTS)[::-1]
    return Result(
        name=name,
        cpu_s=cpu_s,
        to_fp32=agreement(together, reference),
        in_company=agreement(np.concatenate([together, backwards]), np.concatenate([alone, alone])),
    )


def report(results: Sequence[Result], num_texts: int, circumstances: Circumstances) -> str:
    """The table."""
    fp32_s = results[0].cpu_s
    return "\n".join(
        [
            "| form | CPU ms a batch | speed to fp32 | to fp32: cosine mean, least | "
            "in company: within 1e-3 | largest gap | least cosine |",
            "|---|---|---|---|---|---|---|",
            *(
                f"| {each.name} | {1e3 * each.cpu_s:.1f} | {fp32_s / each.cpu_s:.2f} | "
                f"{each.to_fp32.cosine_mean:.5f}, {each.to_fp32.cosine_least:.5f} | "
                f"{100 * each.in_company.near:.1f} % | {each.in_company.largest_gap:.1e} | "
                f"{each.in_company.cosine_least:.5f} |"
                for each in results
            ),
            "",
            f"- {num_texts} sentences of SST-5 and Quora, batches of {BATCH_TEXTS} in rows of {ROW_LEN} "
            "tokens; one thread, CPU time.",
            f"- {circumstances.cpu}; {circumstances.load:.1f} of {circumstances.cores} cores busy before; "
            f"commit {circumstances.commit}, {circumstances.started:%Y-%m-%d}.",
            f"- Command: `{circumstances.command}`",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    circumstances = look_around(
        " ".join(["python -m loadtests.precisions", *(arguments or sys.argv[1:])]), threads=1
    )
    try:
        manifest = read_manifest(options.bundle)
        sentences = load_sentences(options.data)
    except (BundleError, LoadTestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    entry = manifest.encoder
    tokenizer_json = (options.bundle / TOKENIZER_FILE).read_text(encoding="utf-8")
    tokenizer = build_tokenizer(tokenizer_json, entry.max_length)
    model = onnx.load(options.bundle / entry.graphs[Precision.FP32].file)
    calibration = encode_texts(tokenizer, sentences[-CALIBRATION_TEXTS:])
    sequences = encode_texts(tokenizer, sentences[: min(options.texts, len(sentences) - CALIBRATION_TEXTS)])
    fp32 = Encoder(model, entry)
    starts = range(0, len(calibration), BATCH_TEXTS)
    ranges = measure_ranges(model, (fp32.pack(calibration[at : at + BATCH_TEXTS]) for at in starts), entry)
    results = compare(model, entry, ranges, sequences, rounds=options.rounds, console=console)
    text = report(results, len(sequences), circumstances)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.precisions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="with sst5/ and quora/")
    parser.add_argument("--texts", type=int, default=512, help="sentences compared (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="timed rounds (%(default)s)")
    parser.add_argument("--output", type=Path, help="also write the table here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
