"""Train from a configuration, then evaluate the best checkpoint on dev."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path
from typing import Any

from rich.console import Console

from training.assembly.encodings import store_encodings
from training.assembly.run import build_run
from training.checkpoint import RunFolder
from training.commands.evaluate import evaluate_run
from training.commands.growing import report_growth
from training.config.file import dump_config, load_config
from training.config.schema import Config
from training.encoding_store import clear_leftovers
from training.history import HistoryWriter, read_history, task_bests
from training.identity import identity_of
from training.observing import Observer, Observers
from training.processes import this_process
from training.progress import RunObserver, say
from training.sources import find_source


def fit(
    config_file: Path,
    output: Path,
    *,
    resume: bool,
    console: Console,
    growth: Mapping[str, Any] | None = None,
) -> None:
    """Train from a YAML file, then evaluate the best checkpoint on dev.

    Args:
        config_file: The file.
        output: Of the run.
        resume: Whether to continue an interrupted run.
        console: Where to show.
        growth: The command line's section of that name, instead of the file's.
    """
    config = load_config(config_file, growth=growth)
    if fit_config(config, output, resume=resume, console=console):
        say(console, f"Finished. Next: {_next_command(config, output)}")


def _next_command(config: Config, output: Path) -> str:
    target = _free(Path("bundles") / config.name)
    if config.growth is None or config.growth.joint:
        return f"python -m export {output} --output {target}"
    bundle = config.growth.source if find_source(Path(config.growth.source)).is_bundle else "BUNDLE"
    return f"python -m export {output} --into {bundle} --output {target}"


def _free(folder: Path) -> Path:
    """The folder, or the first of those with a number behind its name that is not there."""
    others = (folder.with_name(f"{folder.name}_{number}") for number in count(2))
    return next(each for each in chain([folder], others) if not each.exists())


def fit_config(
    config: Config,
    output: Path,
    *,
    resume: bool,
    console: Console,
    watching: Sequence[Observer] = (),
    encodings: Path | None = None,
) -> bool:
    """Train, then evaluate the best checkpoint on dev. Returns False if all of it was done before.

    Args:
        config: Of the run.
        output: Its folder.
        resume: Whether to continue what is there.
        console: Where to show.
        watching: Observers beside those that show the run and write it down.
        encodings: Where a frozen encoder's outputs lie, for runs that share them; in the run if None.
    """
    folder = RunFolder(output)
    processes = this_process()
    if processes.is_main_process:
        folder.start(dump_config(config), resume=resume, identity=identity_of(config))
        clear_leftovers(folder.encodings)
    processes.wait_for_everyone()
    index = folder.index
    if index is not None and index.finished:
        say(console, f"{output} is already finished.")
        return False
    run = build_run(config, folder)
    if resume:
        run.resume()
    trainer = run.trainer
    for note in run.data.notes:
        say(console, note)
    say(console, f"{config.name}: {trainer.settings.steps} steps, {', '.join(config.tasks)}")
    store_encodings(run, encodings or folder.encodings, console=console)
    with ExitStack() as stack:
        observers = list(watching)
        if processes.is_main_process:
            shown = RunObserver(
                console, output / "tensorboard", steps=trainer.settings.steps, first_step=trainer.step
            )
            observers += [stack.enter_context(shown), HistoryWriter(output, first_step=trainer.step)]
        trainer.fit(Observers(observers), run.write_checkpoint)
    if processes.is_main_process:
        for task, (step, score) in task_bests(read_history(output)).items():
            say(console, f"{task} by itself was best at step {step}: {score:.4f}")
        evaluate_run(output, console=console, store=trainer.model.store)
        if config.growth is not None:
            report_growth(config, output, console=console)
        folder.finish()
    processes.wait_for_everyone()
    return True
