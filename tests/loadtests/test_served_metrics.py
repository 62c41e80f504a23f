"""What a bundle's answers are compared with."""

from pathlib import Path

import pytest
import yaml

from export.manifest import read_manifest
from loadtests.errors import LoadTestError
from loadtests.served_metrics import Measured, main, measure, report, tasks_of
from training.assembly.trained import load_saved_config
from training.checkpoint import CONFIG_FILE
from training.config.file import load_config


def measured(*, stated: float | None) -> Measured:
    return Measured(task="a", rows=3, metrics={"accuracy": 0.5, "ece": 0.1}, stated=stated)


@pytest.mark.parametrize(("stated", "holds"), [(0.501, True), (0.499, True), (0.503, False), (None, True)])
def test_a_metric_is_as_stated_within_two_tenths_of_a_point(stated: float | None, holds: bool) -> None:
    assert measured(stated=stated).is_as_stated is holds


def test_the_table_has_the_primary_metric_first_and_no_figure_that_is_not_stated() -> None:
    assert "| a | 3 | accuracy | 0.5000 | 0.5010 | ece 0.1000 |" in report([measured(stated=0.501)])
    assert "| a | 3 | accuracy | 0.5000 |  | ece 0.1000 |" in report([measured(stated=None)])


def test_a_task_that_bundle_or_configuration_lacks_is_named(tiny_run: Path, tiny_bundle: Path) -> None:
    config = load_saved_config(tiny_run / CONFIG_FILE)
    with pytest.raises(LoadTestError, match="no task nonsense; bundle and configuration have"):
        tasks_of(config, read_manifest(tiny_bundle), ["nonsense"])


def test_a_freshly_exported_bundle_is_served_with_the_metrics_that_it_states(
    tiny_run: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tiny_bundle), str(tiny_run / CONFIG_FILE)]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    assert {row[1].strip() for row in rows} == set(read_manifest(tiny_bundle).tasks)
    assert all(float(row[4]) == pytest.approx(float(row[5]), abs=0.002) for row in rows)


def test_of_thinned_dev_rows_those_are_asked_that_were_measured(
    tiny_run: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    task = next(iter(read_manifest(tiny_bundle).tasks))
    raw = yaml.safe_load((tiny_run / CONFIG_FILE).read_text(encoding="utf-8"))
    raw["tasks"][task]["data"]["max_dev_rows"] = 2
    file = tmp_path / "thinned.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    (found,) = measure(tiny_bundle, load_config(file), wanted=[task], rows=None, files={})
    assert found.rows == 2
