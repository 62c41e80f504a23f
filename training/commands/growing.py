"""What adding tasks to a trained model gave and took."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from training.assembly.trained import load_saved_config
from training.checkpoint import CONFIG_FILE, RunFolder, read_metrics, resolve_checkpoint, write_metrics
from training.commands.evaluate import evaluate_on
from training.config.schema import Config
from training.config.tasks import DataConfig
from training.errors import CheckpointError
from training.evaluation import Metrics
from training.growth import changes, changes_table
from training.sources import Source, find_source

Contents = Mapping[str, str] | None
"""Of each file that a run read, a hash; None of a run that did not write it down."""


def report_growth(config: Config, output: Path, *, console: Console) -> None:
    """Tell what known tasks lost, and how heads alone and joint training differ where both are known.

    What known tasks lost is added to the checkpoint's ``metrics.json`` under ``forgetting``.

    Args:
        config: Of a run that is evaluated, with a section ``growth``.
        output: Its folder.
        console: Where to show.
    """
    assert config.growth is not None  # noqa: S101 - the caller's promise
    checkpoint = resolve_checkpoint(output)
    metrics = read_metrics(checkpoint)
    if config.growth.joint:
        before = _before(config, find_source(Path(config.growth.source)), _contents(output))
        lost = changes(before, metrics["dev"])
        write_metrics(
            checkpoint, {**metrics, "forgetting": {task: asdict(each) for task, each in lost.items()}}
        )
        console.print(changes_table("known tasks on dev", lost, "before", "after"))
    for folder, other in _counterparts(config, output):
        alone, joint = (metrics["dev"], other) if not config.growth.joint else (other, metrics["dev"])
        found = {task: each for task, each in changes(alone, joint).items() if task in config.growth.add}
        console.print(changes_table(f"new tasks on dev, beside {folder}", found, "heads alone", "jointly"))


def _before(config: Config, source: Source, now: Contents) -> Metrics:
    """Dev metrics of known tasks in the source: as it was evaluated, where the rows are still the same.

    Args:
        config: Of the run that went on from it.
        source: Where it began.
        now: Of the files that this run read.
    """
    known = {name: task.data for name, task in config.tasks.items() if name in source.tasks}
    measured: Metrics = read_metrics(source.place).get("dev", {})
    read = _contents(source.place.parents[1])
    same = [
        name
        for name, data in known.items()
        if name in measured
        and _dev(DataConfig.model_validate(source.tasks[name]["data"])) == _dev(data)
        and (read is None or now is None or read.get(str(data.dev)) == now.get(str(data.dev)))
    ]
    others = {name: data for name, data in known.items() if name not in same}
    anew = (
        evaluate_on(
            source.place,
            {name: data.dev for name, data in others.items()},
            max_rows={name: data.max_dev_rows for name, data in others.items()},
            console=Console(quiet=True),
        )
        if others
        else {}
    )
    return {name: measured[name] if name in same else anew[name] for name in known}


def _contents(run: Path) -> Contents:
    identity = RunFolder(run).identity
    return None if identity is None else identity.contents


def _dev(data: DataConfig) -> object:
    """Which rows are measured."""
    return data.model_dump(exclude={"train"})


def _counterparts(config: Config, output: Path) -> list[tuple[Path, Metrics]]:
    """Finished runs beside this one that learnt its new tasks the other way, with their dev metrics."""
    found = []
    for folder in sorted(output.absolute().parent.iterdir()):
        try:
            index = RunFolder(folder).index
            if (
                index is not None
                and index.finished
                and _is_counterpart(load_saved_config(folder / CONFIG_FILE), config)
            ):
                found.append((folder, read_metrics(resolve_checkpoint(folder))["dev"]))
        except (CheckpointError, OSError, KeyError, ValueError):
            continue  # whatever lies there is no run to compare with
    return found


def _is_counterpart(other: Config, config: Config) -> bool:
    if other.growth is None or config.growth is None or other.growth.joint == config.growth.joint:
        return False
    common = set(other.growth.add) & set(config.growth.add)
    same_data = all(_dev(other.tasks[task].data) == _dev(config.tasks[task].data) for task in common)
    return bool(common) and same_data and other.encoder.model == config.encoder.model
