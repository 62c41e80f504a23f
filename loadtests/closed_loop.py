"""Single texts in a closed loop: ``wrk`` keeps so many requests under way, each with another text."""

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.errors import LoadTestError
from loadtests.server import Server

SCRIPT = Path(__file__).with_suffix(".lua")
WARM_UP_S = 1.0
MARGIN_S = 0.5
"""wrk runs on after the window, so that its end is steady state, too."""
GRACE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoopRun:
    """What the loop gave."""

    texts_per_s: float
    """Answers within the window."""
    sent: int
    """Texts that were sent, also outside the window."""
    found: int
    """Answers that the service did not have to encode."""


def find_wrk() -> str:
    """Path of the program.

    Raises:
        LoadTestError: If it is not installed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise LoadTestError("B3 needs wrk, which is not installed. Debian and Ubuntu: apt-get install wrk.")
    return program


def run_closed_loop(
    server: Server, texts: Sequence[str], *, task: str, concurrency: int, window_s: float
) -> ClosedLoopRun:
    """Ask one task on single texts.

    Args:
        server: Where to.
        texts: More than the loop can use up: each is sent at most once.
        task: The task to ask.
        concurrency: Requests under way.
        window_s: Seconds that count, after ``WARM_UP_S``.

    Raises:
        LoadTestError: If a request fails, or the texts run out.
    """
    program = find_wrk()
    seconds = math.ceil(WARM_UP_S + window_s + MARGIN_S)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as bodies:
        bodies.writelines(json.dumps({"inputs": [{"text": text}]}) + "\n" for text in texts)
        bodies.flush()
        command = [program, "-t1", f"-c{concurrency}", f"-d{seconds}s", "-s", str(SCRIPT), server.url]
        command += ["--", bodies.name, f"/v1/tasks/{task}/predict", str(WARM_UP_S), str(window_s)]
        finished = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False
        )
    return parse_result(finished.stdout, finished.stderr, window_s=window_s)


def parse_result(output: str, errors: str, *, window_s: float) -> ClosedLoopRun:
    """Read what the script printed.

    Raises:
        LoadTestError: If it printed nothing, a request failed, or the texts ran out.
    """
    lines = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    if "RESULT" not in lines:
        raise LoadTestError(f"wrk gave no result: {(errors or output)[-1000:]}")
    result: dict[str, int] = json.loads(lines["RESULT"])
    if result["failed"] or result["broken"]:
        raise LoadTestError(
            f"{result['failed']} requests were refused and {result['broken']} connections broke: "
            f"{lines.get('FAILURE', '')[:500]}"
        )
    if result["exhausted"]:
        raise LoadTestError(
            f"wrk used up its {result['sent']} texts before the time was over. Lower --window or --pairs."
        )
    return ClosedLoopRun(texts_per_s=result["counted"] / window_s, sent=result["sent"], found=result["found"])
