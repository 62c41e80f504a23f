"""The encoder's identity: its weights, its configuration, its tokenizer and ``max_length``.

Not the graph file: one more pooling output, or another exporter version, keeps the identity and with it every
cached vector and every head trained on it.
"""

import hashlib
import json

from training.encoder import SharedEncoder

INCIDENTAL = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
"""Configuration keys that change neither weights nor arithmetic. Nor do dropout's, named by each family."""


def fingerprint(encoder: SharedEncoder, tokenizer_json: str, max_length: int) -> str:
    """Hash an encoder.

    Args:
        encoder: With its weights.
        tokenizer_json: As saved with the checkpoint, its truncation included.
        max_length: Tokens a sequence keeps.

    Returns:
        sha256 as 64 hexadecimal digits.
    """
    config = {
        key: value
        for key, value in encoder.config.to_dict().items()
        if key not in INCIDENTAL and "dropout" not in key
    }
    digest = hashlib.sha256()
    parts = {
        "config": json.dumps(config, sort_keys=True, default=str),
        "tokenizer": json.dumps(json.loads(tokenizer_json), sort_keys=True),
        "max_length": str(max_length),
    }
    for name, text in parts.items():
        _add(digest, name, text.encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        contiguous = tensor.detach().cpu().contiguous()
        _add(digest, f"{name} {contiguous.dtype} {tuple(contiguous.shape)}", contiguous.numpy().tobytes())
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", name: str, content: bytes) -> None:
    """Add a part with its name and length, so that no two lists of parts hash alike."""
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)
