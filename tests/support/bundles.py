"""Further versions of an exported bundle, without another training."""

import json
import shutil
from pathlib import Path


def write_version(
    bundle: Path, folder: Path, *, version: str, temperature: float, fingerprint: str = ""
) -> Path:
    """A copy that says of itself to be another version, and divides its logits by another temperature.

    Its logits, and so its golden examples, stay right; its scores tell it from the others.

    Args:
        bundle: To be copied.
        folder: Where the copy is to lie.
        version: Of the copy.
        temperature: Of every task of the copy.
        fingerprint: Of its encoder, if that is to be another one: what the service knows encoders apart by.
    """
    copy = folder / f"version-{version}"
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["version"] = version
    for task in manifest["tasks"].values():
        task["temperature"] = temperature
        if fingerprint:
            task["head"]["encoder_fingerprint"] = fingerprint
    if fingerprint:
        manifest["encoder"]["fingerprint"] = fingerprint
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy
