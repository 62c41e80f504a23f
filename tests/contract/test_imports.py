"""The service needs nothing of training: checked in a fresh process, where nothing else was imported."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "training", "datasets", "accelerate", "onnx", "sklearn"}


def modules_after(statement: str) -> set[str]:
    """Top-level modules of a fresh interpreter that ran a statement."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; {report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import service.service",
        "import service.assembly, service.http.app",
        "import export.manifest",
    ],
)
def test_no_training_library_is_imported(statement: str) -> None:
    assert HEAVY.isdisjoint(modules_after(statement))


def test_the_arbiter_imports_no_numerics() -> None:
    """Arbiter and worker import the service module; only the worker may pay for the engine's libraries."""
    assert {"onnxruntime", "tokenizers", "numpy", "fastapi"}.isdisjoint(
        modules_after("import service.service")
    )
