"""A bundle's folder: filled under a staging name, verified, then renamed."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import ExportError
from export.manifest import MANIFEST_FILE, MODEL_CARD_FILE, Manifest, hash_file

STAGING_PREFIX = ".staging-"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What the manifest takes as name and version; checked before the work, not after it."""


def check_output(output: Path, *, version: str, name: str | None) -> None:
    """Refuse what would fail after the work.

    Raises:
        ExportError: If the output exists, or name or version is not one of the manifest's.
    """
    if output.exists():
        raise ExportError(f"{output} already exists. Choose another --output, or remove it first.")
    for value, what in ((version, "version"), (name, "name")):
        if value is not None and not LABEL.fullmatch(value):
            raise ExportError(f"A bundle's {what} is letters, digits, '.', '_' and '-'. Found {value!r}.")


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name at the end; after an error nothing is left.

    A kill leaves only the staging folder, which the next export to the same name removes.

    Args:
        output: The name; must not exist.
    """
    staging = output.with_name(f"{STAGING_PREFIX}{output.name}")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "heads").mkdir(parents=True)
    try:
        yield staging
        staging.rename(output)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def seal(manifest: Manifest, folder: Path, *, card: str) -> Manifest:
    """Write the model card, then the manifest that lists it too.

    Args:
        manifest: Complete but for the card's hash.
        folder: Of the bundle.
        card: The model card's text.
    """
    (folder / MODEL_CARD_FILE).write_text(card, encoding="utf-8")
    files = {**manifest.files, MODEL_CARD_FILE: hash_file(folder / MODEL_CARD_FILE)}
    sealed = manifest.model_copy(update={"files": files})
    (folder / MANIFEST_FILE).write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return sealed
