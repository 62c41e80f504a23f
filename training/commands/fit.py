"""Train from a configuration, then evaluate the best checkpoint on dev."""

from pathlib import Path

from rich.console import Console

from training.assembly.run import build_run
from training.checkpoint import RunFolder
from training.commands.evaluate import evaluate_run
from training.config.file import dump_config, load_config
from training.config.schema import Config
from training.processes import this_process
from training.progress import RunObserver, SilentObserver, say


def fit(config_file: Path, output: Path, *, resume: bool, console: Console) -> None:
    """Train from a YAML file, then evaluate the best checkpoint on dev."""
    config = load_config(config_file)
    if fit_config(config, output, resume=resume, console=console):
        say(console, f"Finished. Next: python -m export {output} --output bundles/{config.name}")


def fit_config(config: Config, output: Path, *, resume: bool, console: Console) -> bool:
    """Train, then evaluate the best checkpoint on dev. Returns False if all of it was done before."""
    folder = RunFolder(output)
    processes = this_process()
    if processes.is_main_process:
        folder.start(dump_config(config), resume=resume)
    processes.wait_for_everyone()
    index = folder.index
    if index is not None and index.finished:
        say(console, f"{output} is already finished.")
        return False
    run = build_run(config, folder)
    if resume:
        run.resume()
    trainer = run.trainer
    for note in run.notes:
        say(console, note)
    say(console, f"{config.name}: {trainer.settings.steps} steps, {', '.join(config.tasks)}")
    watching: RunObserver | SilentObserver = SilentObserver()
    if processes.is_main_process:
        watching = RunObserver(
            console, output / "tensorboard", steps=trainer.settings.steps, first_step=trainer.step
        )
    with watching as observer:
        trainer.fit(observer, run.write_checkpoint)
    if processes.is_main_process:
        evaluate_run(output, console=console)
        folder.finish()
    processes.wait_for_everyone()
    return True
