"""``bentoml build`` makes a bento that carries its bundle and serves from it."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import (
    BENTOML,
    ROOT,
    START_LIMIT_S,
    free_port,
    start_service,
    stop,
    wait_until_ready,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def project(tmp_path: Path, tiny_bundle: Path) -> Path:
    """A checkout with the tiny bundle in the quickstart's place."""
    folder = tmp_path / "project"
    for package in ("service", "export"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "bentofile.yaml", folder)
    shutil.copytree(tiny_bundle, folder / "bundles" / "support_desk")
    return folder


def test_a_built_bento_carries_no_training_and_serves_its_own_bundle(project: Path, tmp_path: Path) -> None:
    home = {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "1"}
    subprocess.run(
        [BENTOML, "build", "."], cwd=project, env={**os.environ, **home}, check=True, timeout=START_LIMIT_S
    )
    (bento,) = (path for path in (tmp_path / "home" / "bentos" / "encodeonce").iterdir() if path.is_dir())
    carried = {
        path.relative_to(bento / "src").parts[0] for path in (bento / "src").rglob("*") if path.is_file()
    }
    assert carried == {"service", "export", "bundles", "bentofile.yaml"}
    of_export = {str(path.relative_to(bento / "src")) for path in (bento / "src" / "export").rglob("*.py")}
    schema = {str(path.relative_to(ROOT)) for path in (ROOT / "export" / "manifest").glob("*.py")}
    assert of_export == {"export/__init__.py", *schema}

    shutil.rmtree(project)  # whatever answers now is the bento
    port, log = free_port(), tmp_path / "log"
    process = start_service(port, log, target="encodeonce:latest", folder=tmp_path, **home)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}", log)
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/predict", json={"inputs": ["red shoe"]}).json()
    finally:
        stop(process)
    assert answer["model"] == "tiny"
    assert "sentiment" in answer["predictions"][0]
