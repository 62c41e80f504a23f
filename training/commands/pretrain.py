"""Pre-train an encoder further on the texts of a configuration's tasks, into a transformers folder."""

import shutil
from pathlib import Path

from rich.console import Console

from training.assembly.pretraining import build_pretrainer, save_encoder
from training.checkpoint import STAGING_PREFIX, STATE_FILE, RunFolder
from training.config.file import dump_config, load_config
from training.errors import CheckpointError
from training.identity import identity_of
from training.processes import this_process
from training.progress import build_progress, say

WORK_PREFIX = ".pretraining-"


def pretrain(config_file: Path, output: Path, *, resume: bool, console: Console) -> None:
    """Masked language modelling on the train texts, then a folder that ``encoder.model`` can name.

    Until it is finished, the work lies beside the output under another name.

    Args:
        config_file: Its section ``pretraining`` says how.
        output: The transformers folder.
        resume: Whether to continue interrupted work.
        console: Where to show.

    Raises:
        TrainingError: For anything that the user can correct.
    """
    if this_process().num_processes > 1:
        raise CheckpointError("Further pre-training runs in one process: start it without accelerate launch.")
    if output.exists():
        raise CheckpointError(f"{output} already exists. Choose another --output.")
    config = load_config(config_file)
    work = RunFolder(output.with_name(f"{WORK_PREFIX}{output.name}"))
    work.start(dump_config(config), resume=resume, identity=identity_of(config))
    pretrainer = build_pretrainer(config)
    index = work.index
    if index is not None:
        pretrainer.load_state(work.folder(index.last) / STATE_FILE)
    steps = pretrainer.settings.steps
    before = pretrainer.held_out_loss() if index is None else None
    if before is not None:
        say(console, f"{steps} steps; loss of held-out texts {before:.4f}")
    with build_progress(console) as progress:
        bar = progress.add_task("pre-training", total=steps, completed=pretrainer.step, note="")

        def save(held_out: float) -> None:
            work.save(
                pretrainer.step, lambda folder: pretrainer.save_state(folder / STATE_FILE), is_best=True
            )
            say(console, f"step {pretrainer.step}: loss of held-out texts {held_out:.4f}")

        pretrainer.fit(lambda loss: progress.update(bar, completed=pretrainer.step, note=f"{loss:.3f}"), save)
    staging = output.with_name(f"{STAGING_PREFIX}{output.name}")
    shutil.rmtree(staging, ignore_errors=True)
    save_encoder(pretrainer, config, staging)
    staging.rename(output)
    shutil.rmtree(work.path)
    say(console, f"Finished. Next: encoder: {{model: {output}}} in {config_file}")
