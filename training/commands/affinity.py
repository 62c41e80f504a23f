"""Train once, jointly, and measure which tasks help which."""

import json
from pathlib import Path

from rich.console import Console

from training.affinity import AffinityProbe, Lookahead, mean_affinities
from training.assembly.data import batch_sizes
from training.assembly.run import build_run
from training.checkpoint import RunFolder, write_text_atomically
from training.comparison.affinities import write_affinities
from training.comparison.report import HTML_FILE, MARKDOWN_FILE
from training.config.file import load_config
from training.config.sharing import WITHOUT_SHARED_PARAMETERS
from training.errors import ConfigError, TrainingError
from training.history import rounded
from training.identity import code_commit, config_hash
from training.observing import Observers
from training.progress import RunObserver, say

AFFINITY_FILE = "affinity.json"


def affinity(config_file: Path, output: Path, *, every: int, rate: float, console: Console) -> None:
    """Train a configuration's run without checkpoints, measuring inter-task affinity on the way.

    Args:
        config_file: A training configuration.
        output: Folder of ``affinity.json`` and the report.
        every: Steps from one measurement to the next.
        rate: Of the step that is tried.
        console: Where to show.

    Raises:
        TrainingError: For anything that the user can correct.
    """
    config = load_config(config_file)
    faults = []
    if len(config.tasks) < 2:
        faults.append("tasks: affinity is between tasks: expected at least two")
    shares = config.sharing is not None and config.sharing.name not in WITHOUT_SHARED_PARAMETERS
    if config.encoder.train == "frozen" and not shares:
        faults.append(
            "encoder.train: affinity is a matter of shared parameters that train: set full, or take a "
            "sharing layer"
        )
    if config.training.unfreeze_every is not None:
        faults.append(
            "training.unfreeze_every: the parameters that step must be the same all along: leave it out"
        )
    if faults:
        raise ConfigError(str(config_file), faults)
    run = build_run(config, RunFolder(output))
    trainer, steps = run.trainer, run.trainer.settings.steps
    every = min(every, steps)
    lookahead = Lookahead(rate=rate, max_grad_norm=config.training.max_grad_norm)
    probe = AffinityProbe(
        trainer.model,
        run.data.tasks,
        run.data.train,
        batch_sizes=batch_sizes(run.config),
        every=every,
        lookahead=lookahead,
        seed=config.seed,
    )
    say(console, f"{config.name}: {steps} steps, measured at every {every}.")
    with RunObserver(console, output / "tensorboard", steps=steps, first_step=0) as shown:
        trainer.fit(Observers([shown, probe]), lambda *_: None)
    if not probe.measured:
        raise TrainingError(
            f"{config.name}: patience ended the run at step {trainer.step}, before the first measurement; "
            f"expected an --every of at most that, found {every}"
        )
    measured = {
        step: {"/".join(pair): value for pair, value in found.items()}
        for step, found in probe.measured.items()
    }
    mean = {"/".join(pair): z for pair, z in mean_affinities(list(probe.measured.values())).items()}
    kept = {
        "config_sha256": config_hash(config), "commit": code_commit(), "rate": rate,
        "max_grad_norm": lookahead.max_grad_norm, "mean": mean, "measured": measured,
    }  # fmt: skip
    write_text_atomically(output / AFFINITY_FILE, json.dumps(rounded(kept), indent=1) + "\n")
    table = write_affinities(config.name, list(config.tasks), probe.measured, output)
    console.print(table, highlight=False, markup=False, soft_wrap=True)
    say(console, f"Report: {output / HTML_FILE} and {output / MARKDOWN_FILE}")
