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
    answered: int
    """Those of them whose answer came before the end."""
    found: int
    """Answers that the service did not have to encode; of other services than ours, all of them."""


def find_wrk() -> str:
    """Path of the program.

    Raises:
        LoadTestError: If it is not installed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise LoadTestError(
            "A closed loop needs wrk, which is not installed. Debian and Ubuntu: apt-get install wrk."
        )
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
    bodies = [json.dumps({"inputs": [{"text": text}]}) for text in texts]
    path = f"/v1/tasks/{task}/predict"
    return drive_closed_loop(server.url, path, bodies, concurrency=concurrency, window_s=window_s)


def drive_closed_loop(
    url: str,
    path: str,
    bodies: Sequence[str],
    *,
    concurrency: int,
    window_s: float,
    warm_up_s: float = WARM_UP_S,
) -> ClosedLoopRun:
    """Post ready-made JSON to any service.

    Args:
        url: Of the service.
        path: To post to.
        bodies: One line each; more than the loop can use up.
        concurrency: Requests under way.
        window_s: Seconds that count.
        warm_up_s: Seconds before them that do not.

    Raises:
        LoadTestError: If a request fails, nothing comes back, or the bodies run out.
    """
    program = find_wrk()
    seconds = math.ceil(warm_up_s + window_s + MARGIN_S)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(f"{body}\n" for body in bodies)
        file.flush()
        command = [program, "-t1", f"-c{concurrency}", f"-d{seconds}s", f"--timeout={GRACE_S:.0f}s"]
        command += ["-s", str(SCRIPT), url, "--", file.name, path, str(warm_up_s), str(window_s)]
        try:
            finished = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LoadTestError(f"wrk did not end {GRACE_S:.0f} s after its time: {url} is stuck.") from error
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
    return ClosedLoopRun(
        texts_per_s=result["counted"] / window_s,
        sent=result["sent"],
        answered=result["answered"],
        found=result["found"],
    )
