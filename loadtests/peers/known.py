"""Every peer, by its name."""

from collections.abc import Mapping

from loadtests.peers.by_hand import BentoMlBatchable, ByHand, PyTriton
from loadtests.peers.infinity import Infinity
from loadtests.peers.peer import Peer
from loadtests.peers.vllm import Vllm

TRANSFORMERS = "transformers<5"
"""What the frameworks' own releases were tested with."""

PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Vllm(binding="cores"),
        Vllm(binding="nobind"),
        Vllm(binding="iomp"),
        Vllm(binding="auto"),
        Infinity(engine="torch"),
        Infinity(engine="optimum"),
        ByHand(
            name="litserve",
            title="LitServe 0.2.19, torch",
            script="lit_app.py",
            requirements=("litserve==0.2.19", TRANSFORMERS),
        ),
        ByHand(
            name="ray",
            title="Ray Serve 2.60, torch",
            script="ray_app.py",
            requirements=("ray[serve]==2.60.0", TRANSFORMERS),
        ),
        PyTriton(
            name="pytriton",
            title="PyTriton 0.7, torch",
            script="triton_app.py",
            requirements=("nvidia-pytriton==0.7.0", TRANSFORMERS),
            path="/v2/models/sc/infer",
            python="/usr/bin/python3",  # its backend is linked against the system's interpreter
        ),
        BentoMlBatchable(),
    )
}
