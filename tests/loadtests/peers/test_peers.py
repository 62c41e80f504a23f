import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.peers.known import PEERS
from loadtests.peers.peer import Ours, Place

LABELS = ("bad", "fine", "good")
SCORES = {"bad": 0.2, "fine": 0.5, "good": 0.3}
ROW = list(SCORES.values())
ANSWERS: dict[str, Any] = {
    "vllm-cores": {"data": [{"index": 0, "label": "fine", "probs": ROW, "num_classes": 3}]},
    "infinity-torch": {
        "data": [[{"label": label, "score": SCORES[label]} for label in ("fine", "good", "bad")]]
    },
    "litserve": {"scores": ROW},
    "pytriton": {"outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": ROW}]},
    "bentoml": [ROW],
}
"""As each of them answers on one text."""


@pytest.mark.parametrize("name", ANSWERS)
def test_scores_are_read_by_label(name: str) -> None:
    assert PEERS[name].scores(ANSWERS[name], LABELS) == SCORES


def test_our_scores_are_read_by_label() -> None:
    prediction = {"label": "fine", "score": 0.5, "scores": dict(reversed(SCORES.items()))}
    assert Ours(task="mood").scores({"predictions": [prediction]}, LABELS) == SCORES


@pytest.mark.parametrize("name", ["vllm-cores", "litserve", "pytriton", "bentoml"])
def test_an_answer_with_another_number_of_scores_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        PEERS[name].scores(ANSWERS[name], LABELS[:2])


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_peer_listens_on_its_port_with_the_given_threads(tmp_path: Path, peer: Any) -> None:
    place = Place(
        venv=tmp_path / "venv",
        model=tmp_path / "model",
        bundle=tmp_path / "bundle",
        task="mood",
        port=4711,
        threads=3,
    )
    launch = peer.launch(place)
    assert "4711" in (*launch.command, *launch.environment.values())
    assert launch.environment["OMP_NUM_THREADS"] == "3"
    assert launch.command[0].startswith(str(tmp_path / "venv") if peer.venv else sys.executable)


def test_peers_have_names_and_texts_of_their_own() -> None:
    assert len({peer.title for peer in PEERS.values()}) == len(PEERS)
    for peer in PEERS.values():
        assert "a text" in str(peer.body("a text"))
