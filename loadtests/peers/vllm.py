"""vLLM's pooling runner on the CPU, in fp32, by each of its ways to place threads."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.peers.peer import Launch, Place, thread_variables

VERSION = "0.32.0"
ALIAS = f"vllm-{VERSION}+cpu.dist-info"
UNUSED = ("torchvision", "torchaudio", "torchcodec")
"""Pulled in for other models; built for another torch, they fail at import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vllm:
    """``vllm serve`` with a classification model.

    Attributes:
        binding: ``auto`` or ``nobind`` of ``VLLM_CPU_OMP_THREADS_BIND``; ``cores`` names the cores, and
            ``iomp`` does so with Intel's OpenMP in the place of GNU's, as vLLM's own pages advise.
    """

    binding: str
    venv: str = "vllm"
    python: str = "python3"
    requirements: tuple[str, ...] = (f"vllm-cpu=={VERSION}",)
    path: str = "/classify"

    @property
    def name(self) -> str:
        """With its binding: the best one counts."""
        return f"vllm-{self.binding}"

    @property
    def title(self) -> str:
        """Likewise."""
        return f"vLLM {VERSION} CPU, {self.binding}"

    def finish(self, venv: Path) -> None:
        """Take away what cannot be imported, and give the package the name that it looks itself up by."""
        pip = [str(venv / "bin" / "python"), "-m", "pip", "uninstall", "--quiet", "--yes", *UNUSED]
        subprocess.run(pip, check=True, capture_output=True)
        (packages,) = (venv / "lib").glob("python*/site-packages")
        alias = packages / ALIAS
        if not alias.is_dir():
            (source,) = packages.glob("vllm_cpu-*.dist-info")
            alias.mkdir()
            for name in ("METADATA", "entry_points.txt"):
                if (source / name).is_file():
                    shutil.copyfile(source / name, alias / name)
            metadata = (alias / "METADATA").read_text(encoding="utf-8")
            renamed = metadata.replace("Name: vllm-cpu", "Name: vllm", 1).replace(
                f"Version: {VERSION}", f"Version: {VERSION}+cpu", 1
            )
            (alias / "METADATA").write_text(renamed, encoding="utf-8")

    def launch(self, place: Place) -> Launch:
        """The server, with its own process for the model."""
        cores = f"0-{place.threads - 1}"
        names_cores = self.binding in ("cores", "iomp")
        preload = {"LD_PRELOAD": str(place.venv / "lib" / "libiomp5.so")} if self.binding == "iomp" else {}
        return Launch(
            command=(
                str(place.venv / "bin" / "vllm"), "serve", str(place.model.absolute()),
                "--served-model-name", "sc", "--runner", "pooling", "--dtype", "float32",
                "--max-model-len", "256", "--enforce-eager", "--disable-uvicorn-access-log",
                "--host", "127.0.0.1", "--port", str(place.port),
            ),
            is_never_idle=True,  # its engine waits for work in a loop
            environment={
                **thread_variables(place.threads),
                "PATH": f"{place.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                "VLLM_CPU_KVCACHE_SPACE": "1",
                "VLLM_CPU_OMP_THREADS_BIND": cores if names_cores else self.binding,
                "VLLM_NO_USAGE_STATS": "1",
                "DO_NOT_TRACK": "1",
                **preload,
            },
        )  # fmt: skip

    def body(self, text: str) -> dict[str, Any]:
        """One input."""
        return {"model": "sc", "input": text}

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401
        """Probabilities come in the order of the labels."""
        (entry,) = answer["data"]
        return dict(zip(labels, entry["probs"], strict=True))
