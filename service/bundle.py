"""Open a bundle: read its manifest, check every file, and name the paths that the service loads."""

from dataclasses import dataclass
from pathlib import Path

from export.manifest import (
    TOKENIZER_FILE,
    BundleFileError,
    GoldenExample,
    Manifest,
    ManifestError,
    Precision,
    read_golden,
    read_manifest,
    verify_files,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified bundle and the precision it is served in."""

    path: Path
    manifest: Manifest
    precision: Precision
    golden: tuple[GoldenExample, ...]

    @property
    def tokenizer_path(self) -> Path:
        """The fast tokenizer."""
        return self.path / TOKENIZER_FILE

    @property
    def encoder_path(self) -> Path:
        """The encoder graph of the chosen precision."""
        return self.path / self.manifest.encoder.graphs[self.precision].file

    @property
    def tolerance(self) -> float:
        """Largest accepted difference to the torch model's logits."""
        return self.manifest.encoder.graphs[self.precision].tolerance

    def head_path(self, task: str) -> Path:
        """The head graph of a task."""
        return self.path / self.manifest.tasks[task].head.file


def open_bundle(path: Path, precision: Precision) -> Bundle:
    """Verify a bundle completely before anything of it is loaded.

    Raises:
        BundleError: If the folder, manifest or a file is not what it must be. The message says what to do.
    """
    path = path.absolute()
    if not path.is_dir():
        raise BundleFileError(
            f"There is no bundle at {path}. Set ENCODEONCE_BUNDLE to a folder with a manifest.json."
        )
    manifest = read_manifest(path)
    if precision not in manifest.encoder.graphs:
        known = ", ".join(manifest.encoder.graphs)
        raise ManifestError(
            f"Bundle {manifest.name} has no {precision} encoder. Set ENCODEONCE_PRECISION to: {known}."
        )
    verify_files(path, manifest)
    golden = tuple(read_golden(path))
    for example in golden:
        if example.task not in manifest.tasks:
            raise BundleFileError(
                f"A golden example names task {example.task!r}, which the manifest does not have."
            )
    return Bundle(path=path, manifest=manifest, precision=precision, golden=golden)
