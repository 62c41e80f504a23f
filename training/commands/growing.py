"""What adding tasks to a trained model gave and took."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from training.assembly.trained import load_saved_config
from training.checkpoint import CONFIG_FILE, RunFolder, read_metrics, resolve_checkpoint, write_metrics
from training.commands.evaluate import evaluate_on
from training.config.schema import Config
from training.errors import CheckpointError
from training.evaluation import Metrics
from training.growth import changes, changes_table
from training.sources import Source, find_source


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
        lost = changes(_before(config, find_source(Path(config.growth.source))), metrics["dev"])
        write_metrics(
            checkpoint, {**metrics, "forgetting": {task: asdict(each) for task, each in lost.items()}}
        )
        console.print(changes_table("known tasks on dev", lost, "before", "after"))
    for folder, other in _counterparts(config, output):
        alone, joint = (metrics["dev"], other) if not config.growth.joint else (other, metrics["dev"])
        found = {task: each for task, each in changes(alone, joint).items() if task in config.growth.add}
        console.print(changes_table(f"new tasks on dev, beside {folder}", found, "heads alone", "jointly"))


def _before(config: Config, source: Source) -> Metrics:
    """Dev metrics of known tasks in the source: as it was evaluated, where dev is still the same."""
    now = config.model_dump(mode="json")["tasks"]
    known = [task for task in config.tasks if task in source.tasks]
    measured: Metrics = read_metrics(source.place).get("dev", {})
    same = [task for task in known if task in measured and _dev(source.tasks[task]) == _dev(now[task])]
    others = {task: config.tasks[task].data.dev for task in known if task not in same}
    anew = evaluate_on(source.place, others, console=Console(quiet=True)) if others else {}
    return {task: measured[task] if task in same else anew[task] for task in known}


def _dev(section: Mapping[str, Mapping[str, object]]) -> object:
    return section["data"]["dev"]


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
    same_data = all(other.tasks[task].data.dev == config.tasks[task].data.dev for task in common)
    return bool(common) and same_data and other.encoder.model == config.encoder.model
