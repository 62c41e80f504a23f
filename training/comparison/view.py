"""What a person sees of a comparison: bars on a terminal, a plain line for each run elsewhere."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import TaskID

from training.comparison.planning import PlannedRun
from training.comparison.pool import Done, Failed, Message, Progress
from training.progress import build_progress, say


class ComparisonView:
    """One bar for all runs, and one for each that is under way.

    Args:
        console: The bars are left out where it is no terminal.
        runs: By name.
    """

    def __init__(self, console: Console, runs: Mapping[str, PlannedRun]) -> None:
        self._console = console
        self._runs = runs
        self._progress = build_progress(console)
        self._all = self._progress.add_task("runs", total=len(runs), note="")
        self._bars: dict[str, TaskID] = {}
        self._finished = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, name: str, message: Message) -> None:
        """Show what came of a run."""
        if isinstance(message, Progress):
            total = self._runs[name].config.training.steps
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(name, total=total, note="")
            self._progress.update(self._bars[name], completed=message.step)
            return
        if name in self._bars:
            self._progress.remove_task(self._bars.pop(name))
        self._finished += 1
        self._progress.update(self._all, completed=self._finished)
        say(self._console, f"{self._finished}/{len(self._runs)} {name}: {_outcome(message)}")


def _outcome(message: Done | Failed) -> str:
    if isinstance(message, Failed):
        return f"failed: {message.reason}"
    scores = "  ".join(f"{task} {score:.4f}" for task, score in message.result.primary.items())
    return f"{scores}  ({message.result.wall_s:.0f} s of training)"
