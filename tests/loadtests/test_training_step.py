from pathlib import Path

import pytest

from loadtests.training_step import main, measure
from tests.support.tiny import tiny_config, write_config
from training.config.file import parse_config

NAMES = ("sentiment", "duplicate", "stars")


def config_file(folder: Path, encoder: Path) -> Path:
    config = tiny_config(folder, encoder)
    config["tasks"] = {name: config["tasks"][name] for name in NAMES}
    return write_config(folder / "run.yaml", config)


def test_both_sides_are_timed_on_every_pair(tmp_path: Path, tiny_encoder: Path) -> None:
    raw = tiny_config(tmp_path, tiny_encoder)
    raw["tasks"] = {name: raw["tasks"][name] for name in NAMES}
    ratio = measure(parse_config(raw), "pcgrad", pairs=3)
    assert len(ratio.of_pairs.values) == 3
    assert min(ratio.a.low, ratio.b.low) > 0


def test_a_mistake_in_the_configuration_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_one_methods_peak_memory_is_a_number(
    tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main([str(config_file(tmp_path, tiny_encoder)), "--methods", "pcgrad", "--memory", "--threads", "1"])
        == 0
    )
    assert float(capsys.readouterr().out.splitlines()[-1]) > 50
