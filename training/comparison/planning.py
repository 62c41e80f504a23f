"""A study and the results that are there → the runs that are missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.comparison.results import RunResult, run_name
from training.comparison.study import ALONE, Study
from training.config.schema import Config
from training.config.unshared import UNSHARED
from training.identity import config_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run of a study.

    Attributes:
        variant: Its name.
        task: The only task, of a task's own run; None of a variant.
        config: Complete, with the seed.
        config_sha256: Of the configuration.
    """

    variant: str
    task: str | None
    config: Config
    config_sha256: str

    @property
    def name(self) -> str:
        """Of the run in its study, of its folder and of its result's file."""
        return run_name(self.variant, self.config.seed)

    def is_done(self, results: Mapping[str, RunResult]) -> bool:
        """Whether there is a result of this very configuration."""
        found = results.get(self.name)
        return found is not None and found.config_sha256 == self.config_sha256


def planned_variants(study: Study) -> list[PlannedRun]:
    """The runs of all variants, seed by seed: a study that is cut short has a bit of everything."""
    wanted = study.outline.seeds
    return [
        _planned(variant, None, study.config(variant, seed))
        for seed in dict.fromkeys(seed for seeds in wanted.values() for seed in seeds)
        for variant in study.configs
        if seed in wanted[variant]
    ]


def planned_single_tasks(study: Study, results: Mapping[str, RunResult]) -> list[PlannedRun]:
    """Each task's own runs, for which the baseline's results say how many batches they get.

    Args:
        study: What is compared.
        results: A seed whose baseline has no result yet is left out.
    """
    baseline = study.outline.baseline
    if not study.outline.single_task:
        return []
    planned = []
    for seed in study.outline.seeds[baseline]:
        joint = results.get(run_name(baseline, seed))
        if joint is None:
            continue
        config = study.config(baseline, seed)
        for task in config.tasks:
            alone = single_task_config(config, task, batches=joint.batches[task], joint_steps=joint.steps)
            planned.append(_planned(single_task_name(task), task, alone))
    return planned


def single_task_name(task: str) -> str:
    """Of a task's own runs. A variant's name has no dot."""
    return f"{ALONE}.{task}"


def single_task_config(config: Config, task: str, *, batches: int, joint_steps: int) -> Config:
    """The joint run's configuration with one task and as many batches of it as the joint run drew.

    It is the same budget for the task, not for the whole run, and evaluated as often.

    Args:
        config: Of the joint run.
        task: The task to keep.
        batches: Of the task in the joint run.
        joint_steps: Of the joint run.
    """
    steps = max(1, batches // config.training.gradient_accumulation)
    every = config.training.evaluate_every
    if every is not None:
        every = max(1, round(every * steps / joint_steps))
    training = config.training.model_copy(update={**UNSHARED, "steps": steps, "evaluate_every": every})
    return config.model_copy(
        update={
            "name": f"{config.name}_{task}",
            "tasks": {task: config.tasks[task]},
            "training": training,
            "selection": config.selection.model_copy(update={"score": None}),
        }
    )


def redone(planned: Iterable[PlannedRun], results: Mapping[str, RunResult]) -> list[str]:
    """Names of runs whose result is of another configuration."""
    return [run.name for run in planned if run.name in results and not run.is_done(results)]


def _planned(variant: str, task: str | None, config: Config) -> PlannedRun:
    return PlannedRun(variant=variant, task=task, config=config, config_sha256=config_hash(config))
