from dataclasses import replace
from pathlib import Path

from loadtests.results import load_rows, save_rows
from tests.loadtests.peers.samples import CALM, measured


def test_rows_are_kept_with_their_circumstances(tmp_path: Path) -> None:
    settings = replace(CALM, settings={"ENCODEONCE_PRECISION": "int8"})
    rows = {name: measured(name, 1.5, circumstances=settings) for name in ("B5", "B9/50")}
    save_rows([each.row for each in rows.values()], settings, tmp_path / "results")
    assert load_rows(tmp_path / "results") == rows


def test_a_row_measured_again_replaces_the_old_figure(tmp_path: Path) -> None:
    for value in (1.5, 1.7):
        save_rows([measured("B5", value).row], CALM, tmp_path)
    assert load_rows(tmp_path)["B5"].row.value == 1.7


def test_no_results_are_no_rows(tmp_path: Path) -> None:
    assert load_rows(tmp_path / "missing") == {}
