from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import tiny_rows, write_rows
from tests.training.conftest import start_run
from training.chance import loss_of_a_guess
from training.errors import ConfigError

SmallConfig = Callable[..., dict[str, Any]]


def sorted_by_value(folder: Path, *values: float) -> None:
    """Rows in as many blocks as there are values."""
    rows = tiny_rows(300, seed=1)
    for number, row in enumerate(rows):
        row["value"] = values[number * len(values) // len(rows)]
    write_rows(folder / "train.jsonl", rows)


def test_a_file_that_is_sorted_by_its_values_has_the_variance_of_all(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(tasks=("stars",), loss_scale="chance")
    sorted_by_value(tmp_path, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    data = start_run(raw, tmp_path / "run").data
    found = loss_of_a_guess(data.tasks["stars"].kind, data.train["stars"], pad_token_id=0)
    assert found == pytest.approx(5 / 36, rel=0.1)


def test_values_that_are_all_alike_have_no_unit(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(tasks=("stars", "sentiment"), loss_scale="chance")
    sorted_by_value(tmp_path, 2.5)
    with pytest.raises(ConfigError, match=r"loss_scale: the values of tasks\.stars are nearly all alike"):
        start_run(raw, tmp_path / "run")
    start_run({**raw, "training": {**raw["training"], "loss_scale": "initial"}}, tmp_path / "other")
