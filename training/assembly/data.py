"""Configuration → a run's tasks with their examples, checked and tokenised."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tokenizers import Tokenizer

from training.config.schema import Config
from training.config.tasks import TaggingConfig, TaskConfig
from training.data import encode_examples, encode_for_training, load_dev, load_examples, origin_of, read_tags
from training.errors import DataError
from training.examples import EncodedExamples, Examples, split_for_selection
from training.kinds.build import build_kind
from training.kinds.tag_schemes import OUTSIDE, PREFIXES, tags_in_order
from training.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """What a run learns from.

    Attributes:
        config: With every tagging task's labels.
        tasks: In the order of the file; their losses know the train examples.
        train: Examples of each task, as it learns from them.
        selection: Set aside to choose the best checkpoint.
        dev: Measured at the end.
        notes: What a person should know of the data, a sentence each.
    """

    config: Config
    tasks: dict[str, Task]
    train: dict[str, EncodedExamples]
    selection: dict[str, EncodedExamples]
    dev: dict[str, EncodedExamples]
    notes: tuple[str, ...]


def build_tasks(config: Config) -> dict[str, Task]:
    """All tasks without their data, in the order of the file."""
    kinds = {
        name: build_kind(task, max_length=config.encoder.max_length, seed=config.seed)
        for name, task in config.tasks.items()
    }
    return {
        name: Task(name=name, kind=kind, weight=config.tasks[name].weight) for name, kind in kinds.items()
    }


def build_data(config: Config, tokenizer: Tokenizer) -> RunData:
    """Read, check and tokenise the data of all tasks, dev included: its faults show before the training.

    Raises:
        DataError: If a source does not fit its task.
    """
    config = with_tags(config)
    tasks, train, selection, dev = build_tasks(config), {}, {}, {}
    notes: list[str] = []
    for name, task in tasks.items():
        sources = config.tasks[name].data
        examples, measured = load_examples(task, sources.train), load_dev(task, sources)
        dev[name] = encode_examples(task, measured, tokenizer)
        notes += [f"{each.origin}: {note}" for each in (examples, measured) for note in task.kind.notes(each)]
        train[name], selection[name] = _split(config, task, examples, tokenizer)
        tasks[name] = replace(task, kind=task.kind.adapted(examples))
    return RunData(config=config, tasks=tasks, train=train, selection=selection, dev=dev, notes=tuple(notes))


def with_tags(config: Config) -> Config:
    """The configuration with the tags of the train data where a tagging task declares none.

    Raises:
        DataError: If a tag is none of the task's scheme.
    """
    tasks = {
        name: _with_tags(name, task) if isinstance(task, TaggingConfig) and task.labels is None else task
        for name, task in config.tasks.items()
    }
    return config.model_copy(update={"tasks": tasks})


def batch_sizes(config: Config) -> dict[str, int]:
    """Examples a batch of each task."""
    return {name: task.batch_size or config.training.batch_size for name, task in config.tasks.items()}


def sampling_sizes(config: Config, train: Mapping[str, EncodedExamples]) -> dict[str, int]:
    """Examples of each task as the samplers count them: in batches of the run's size.

    A task with smaller batches counts for more, so that proportional sampling passes over the examples of
    every task equally often.
    """
    own = batch_sizes(config)
    return {name: -(-len(data) * config.training.batch_size // own[name]) for name, data in train.items()}


def _split(
    config: Config, task: Task, examples: Examples, tokenizer: Tokenizer
) -> tuple[EncodedExamples, EncodedExamples]:
    if len(examples) < 2:
        raise DataError(
            f"{examples.origin}: task {task.name!r} needs at least two rows, one to learn from and one to "
            "choose the checkpoint by"
        )
    kept, aside = split_for_selection(
        examples, fraction=config.selection.fraction, max_rows=config.selection.max_rows, seed=config.seed
    )
    train = encode_for_training(task, kept, tokenizer)
    if len(train) == 0:
        raise DataError(f"{examples.origin}: task {task.name!r} has nothing to learn from")
    return train, encode_examples(task, aside, tokenizer)


def _with_tags(name: str, config: TaggingConfig) -> TaskConfig:
    found = read_tags(config.data.train, config.label, scheme=config.scheme, task=name)
    tags = tags_in_order([*found, OUTSIDE] if config.scheme in PREFIXES else found)
    if len(tags) < 2:
        raise DataError(
            f"{origin_of(config.data.train)}: task {name!r} has the one tag {', '.join(tags)}; at least two "
            "are needed"
        )
    return config.model_copy(update={"labels": tags})
