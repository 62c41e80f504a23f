"""Train each task of a joint run alone, and say what the tasks gave each other."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from training.assembly.trained import load_saved_config
from training.checkpoint import (
    COMPARISON_FILE,
    CONFIG_FILE,
    RunFolder,
    read_metrics,
    resolve_checkpoint,
    write_text_atomically,
)
from training.commands.fit import fit_config
from training.comparison import comparison_table, single_task_config, transfers
from training.errors import CheckpointError, ConfigError
from training.evaluation import Metrics


def compare_run(path: Path, only: Sequence[str] | None, *, console: Console) -> None:
    """Train each task of a finished run alone, for as many batches, and write the table beside the run.

    The single-task runs lie under ``single_task/``. One that is finished is not trained again, and an
    interrupted one continues.

    Args:
        path: The run's folder.
        only: These tasks; all if None.
        console: Where to show.

    Raises:
        CheckpointError: If there is no finished run.
        ConfigError: If the run has no such task.
    """
    folder = RunFolder(path)
    index = folder.index
    if index is None or not index.finished:
        raise CheckpointError(
            f"{path} holds no finished run. Run: python -m training fit CONFIG --output {path}"
        )
    config = load_saved_config(path / CONFIG_FILE)
    unknown = [task for task in only or () if task not in config.tasks]
    if unknown:
        raise ConfigError(
            config.name, [f"no task {', '.join(unknown)}; the run has {', '.join(config.tasks)}"]
        )
    last = read_metrics(folder.folder(index.last))
    if "batches" not in last:
        raise CheckpointError(f"{folder.folder(index.last)} does not say how many batches each task had")
    single: Metrics = {}
    for task in only or config.tasks:
        steps = max(1, last["batches"][task] // config.training.gradient_accumulation)
        alone = path / "single_task" / task
        fit_config(single_task_config(config, task, steps=steps), alone, resume=True, console=console)
        single |= read_metrics(resolve_checkpoint(alone))["dev"]
    joint: Metrics = read_metrics(resolve_checkpoint(path))["dev"]
    table = comparison_table(transfers(joint, single, last["batches"]))
    write_text_atomically(path / COMPARISON_FILE, table)
    console.print(table, highlight=False, markup=False, soft_wrap=True)
