"""The bundle's schema: the one contract between export and service.

A leaf: standard library and pydantic only, so that the service can read a bundle without torch or onnx.

    bundle/
      manifest.json              this schema
      tokenizer.json             fast tokenizer; truncates to ``encoder.max_length``, never pads
      encoder.onnx               packed rows → ``last_hidden_state`` and ``pooled_<name>``
      encoder.weights            what that graph reads, to be mapped into memory
      encoder.<precision>.*      the same in int8 or fp16, where that was asked for and good enough
      heads/<task>.onnx          named inputs → ``logits``
      golden.jsonl               one ``GoldenExample`` a line
      MODEL_CARD.md

Errors:
    BundleError
    ├── ManifestError        unreadable, newer or inconsistent manifest
    └── BundleFileError      a listed file is missing, damaged or outside the bundle
"""

from export.manifest.entries import (
    EncoderEntry,
    EncoderGraph,
    FileEntry,
    HeadEntry,
    PrecisionReport,
    PrecisionTable,
    Sha256,
    SpanSearch,
    TaskEntry,
)
from export.manifest.errors import BundleError, BundleFileError, ManifestError
from export.manifest.faults import describe_faults
from export.manifest.files import hash_file, verify_files
from export.manifest.golden import GoldenExample, deviation, read_golden
from export.manifest.names import (
    GOLDEN_FILE,
    INPUT_FIELDS,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    PADDING_SEGMENT,
    TOKENIZER_FILE,
    EncoderInput,
    HeadInput,
    Layout,
    PairMode,
    Pooling,
    Precision,
    TagScheme,
    TaskKind,
)
from export.manifest.schema import SCHEMA_VERSION, Manifest, parse_manifest, read_manifest

__all__ = [
    "GOLDEN_FILE",
    "INPUT_FIELDS",
    "MANIFEST_FILE",
    "MODEL_CARD_FILE",
    "PADDING_SEGMENT",
    "SCHEMA_VERSION",
    "TOKENIZER_FILE",
    "BundleError",
    "BundleFileError",
    "EncoderEntry",
    "EncoderGraph",
    "EncoderInput",
    "FileEntry",
    "GoldenExample",
    "HeadEntry",
    "HeadInput",
    "Layout",
    "Manifest",
    "ManifestError",
    "PairMode",
    "Pooling",
    "Precision",
    "PrecisionReport",
    "PrecisionTable",
    "Sha256",
    "SpanSearch",
    "TagScheme",
    "TaskEntry",
    "TaskKind",
    "describe_faults",
    "deviation",
    "hash_file",
    "parse_manifest",
    "read_golden",
    "read_manifest",
    "verify_files",
]
