"""Two processes that talk through gloo give the result of one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file

from tests.support.tiny import tiny_config, write_config
from training.commands.fit import fit

pytestmark = pytest.mark.integration
VARIANTS: dict[str, dict[str, Any]] = {
    "sum": {},
    "combined": {"batches": "metabatch", "aggregation": "pcgrad", "balancing": "gradnorm"},
}
TOLERANCE = 5e-4
"""Sums in another order differ in the last bits, and Adam divides small gradients by their own size."""


def write_run(folder: Path, encoder: Path, training: dict[str, Any]) -> Path:
    config = tiny_config(folder, encoder, rows=31)  # batches that two processes cannot halve
    names = ("sentiment", "duplicate", "stars")
    config["tasks"] = {name: config["tasks"][name] for name in names}
    for task in config["tasks"].values():
        task["head"] = {"type": "linear", "dropout": 0.0}
    config["encoder"] |= {"dropout": 0.0, "attention_dropout": 0.0}
    config["training"] = {"steps": 6, "batch_size": 5, "evaluate_every": 3, "warmup": 0.0, **training}
    return write_config(folder / "run.yaml", config)


def fit_in_two_processes(config: Path, output: Path) -> subprocess.CompletedProcess[str]:
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "-m"]
    command = [sys.executable, "-m", *launcher, "training", "fit", str(config), "--output", str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_give_the_result_of_one(tmp_path: Path, tiny_encoder: Path, variant: str) -> None:
    config = write_run(tmp_path, tiny_encoder, VARIANTS[variant])
    fit(config, tmp_path / "one", resume=False, console=Console(quiet=True))
    two = fit_in_two_processes(config, tmp_path / "two")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Finished.") == 1  # the main process speaks, and alone
    final = "checkpoints/step-000006/model.safetensors"
    expected, found = (load_file(tmp_path / name / final) for name in ("one", "two"))
    gap = max(float((expected[name] - found[name]).abs().max()) for name in expected)
    assert 0 < gap < TOLERANCE  # 0 would be a single process
