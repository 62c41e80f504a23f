"""The bundle's files: hashed when it is written, verified before anything of it is loaded."""

import hashlib
from pathlib import Path, PurePosixPath

from export.manifest.entries import FileEntry
from export.manifest.errors import BundleFileError
from export.manifest.schema import Manifest


def verify_files(bundle: Path, manifest: Manifest) -> None:
    """Check every listed file against its hash.

    Raises:
        BundleFileError: Naming each file that is missing, damaged, a link or outside the bundle.
    """
    faults = [
        f"{name}: {fault}" for name, entry in manifest.files.items() if (fault := _fault(bundle, name, entry))
    ]
    if faults:
        raise BundleFileError(f"Bundle {bundle} is damaged: " + "; ".join(faults))


def hash_file(path: Path) -> FileEntry:
    """Hash and size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(sha256=digest, size_bytes=path.stat().st_size)


def _fault(bundle: Path, name: str, entry: FileEntry) -> str | None:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        return "the path leaves the bundle"
    path = bundle / relative
    if any(
        part.is_symlink() for part in [path, *path.parents] if part.is_relative_to(bundle) and part != bundle
    ):
        return "a symbolic link"
    if not path.is_file():
        return "missing"
    size_bytes = path.stat().st_size
    if size_bytes != entry.size_bytes:
        return f"{size_bytes} bytes, expected {entry.size_bytes}"
    found = hash_file(path).sha256
    return None if found == entry.sha256 else f"sha256 {found[:12]}…, expected {entry.sha256[:12]}…"
