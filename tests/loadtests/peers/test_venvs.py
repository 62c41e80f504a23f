from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.errors import LoadTestError
from loadtests.peers.by_hand import ByHand
from loadtests.peers.known import PEERS
from loadtests.peers.venvs import STAMP, TORCH, install, is_installed, venv_of

PEER = ByHand(name="served", title="Served 1.0", script="served.py", requirements=("served==1.0",))


def test_an_environment_counts_once_it_is_complete_with_what_is_asked_for_now(tmp_path: Path) -> None:
    venv = venv_of(PEER, tmp_path)
    venv.mkdir()
    assert not is_installed(PEER, tmp_path)
    (venv / STAMP).write_text(f"{TORCH}\nserved==1.0\n")
    assert is_installed(PEER, tmp_path)
    assert not is_installed(replace(PEER, requirements=("served==1.1",)), tmp_path)


def test_a_peer_of_our_own_environment_needs_no_other(tmp_path: Path) -> None:
    assert is_installed(PEERS["bentoml"], tmp_path)


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match=r"Served 1\.0 needs python9\.9"):
        install(replace(PEER, python="python9.9"), tmp_path)
