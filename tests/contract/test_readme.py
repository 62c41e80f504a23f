"""The README is true: its commands run, its answers are shown as they are, its files exist."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from export.bundle import export_bundle
from tests.support.service_process import ROOT, free_port, start_service, stop, wait_until_ready
from tests.support.tiny import write_config, write_tiny_encoder
from training.commands.fit import fit

README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICKSTART = ROOT / "examples" / "support_desk" / "support_desk.yaml"


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


CURLS = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("curl ")]


def first_rows(file: Path, folder: Path) -> str:
    """A copy of a file's first rows: the form of an answer does not depend on what was learnt."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / file.name).write_text("".join(lines[:40]), encoding="utf-8")
    return str(folder / file.name)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A served bundle with the quickstart's tasks and data, on a tiny encoder that reads texts as long."""
    folder = tmp_path_factory.mktemp("quickstart")
    config = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))
    encoder = write_tiny_encoder(folder / "encoder", max_positions=config["encoder"]["max_length"])
    config["encoder"] |= {"model": str(encoder), "frozen_layers": 1}
    config["training"] |= {"steps": 2, "evaluate_every": 2}
    for task in config["tasks"].values():
        task["data"] = {split: first_rows(ROOT / path, folder) for split, path in task["data"].items()}
    fit(write_config(folder / "c.yaml", config), folder / "run", resume=False, console=Console(quiet=True))
    export_bundle(folder / "run", folder / "bundle", version="1")
    port = free_port()
    process = start_service(port, folder / "log", ENCODEONCE_BUNDLE=str(folder / "bundle"))
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}", folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        stop(process)


def run_curl(line: str, address: str) -> str:
    """Run a line of the README against another address; an HTTP error is a failure."""
    command = shlex.split(line.replace("localhost:3000", address))
    return subprocess.run([*command, "--fail-with-body"], check=True, capture_output=True, text=True).stdout


@pytest.mark.integration
@pytest.mark.parametrize("line", CURLS, ids=lambda line: line.split()[2])
def test_every_curl_line_is_answered(address: str, line: str) -> None:
    answer = run_curl(line, address)
    if line.endswith("/metrics"):
        assert "# HELP encodeonce_" in answer
    else:
        assert json.loads(answer)


@pytest.mark.integration
def test_the_shown_answer_has_the_form_of_the_real_one(address: str) -> None:
    shown = json.loads(blocks("json")[0])
    found = json.loads(run_curl(CURLS[0], address))
    assert shown.keys() == found.keys()
    assert shown["usage"].keys() == found["usage"].keys()
    assert {task: answer.keys() for task, answer in shown["predictions"][0].items()} == {
        task: answer.keys() for task, answer in found["predictions"][0].items()
    }


@pytest.mark.integration
def test_the_python_lines_run(address: str) -> None:
    code = blocks("python")[0].replace("localhost:3000", address)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "'intent'" in done.stdout


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", "".join(blocks("sh")))) <= targets


def test_the_commands_write_where_the_quickstart_has_not_written() -> None:
    written = set(re.findall(r"--output (\S+)", "".join(blocks("sh"))))
    quickstart = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert written
    assert not [folder for folder in written if re.search(rf"\b{folder}\b", quickstart)]


def test_every_file_of_the_reading_order_exists() -> None:
    rows = re.findall(r"^\| (`(?:training|export|service|loadtests)/.*?) \|", README, re.MULTILINE)
    assert len(rows) >= 10
    for row in rows:
        folder = ROOT / row[1:].split("/")[0]
        for path in re.findall(r"`([^`]+)`", row):
            assert (ROOT / path).exists() or (folder / path).exists(), path
