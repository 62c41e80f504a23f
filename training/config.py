"""The YAML file: schema, and every mistake reported at once with what would be right.

Classes elsewhere never see a configuration; ``training.build`` flattens it into their arguments.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from torch import nn

from training.errors import ConfigError
from training.metrics import METRICS, primary_metric

TASK_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
DATA_SUFFIXES = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}

Pooling = Literal["cls", "mean"]
Combine = Literal["concat", "diff_product", "full", "cosine"]
Column = Annotated[str, Field(min_length=1)]
Labels = Annotated[tuple[str, ...], Field(min_length=2)]
Rate = Annotated[float, Field(gt=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncoderConfig(_Section):
    """The shared encoder. One tokenizer and one ``max_length`` for all tasks, or nothing could be shared."""

    model: str
    max_length: int = Field(default=128, ge=8)
    pooling: Pooling = "mean"
    train: Literal["full", "frozen"] = "full"


class HubSplit(_Section):
    """A split of a dataset on the Hugging Face hub."""

    hub: str
    config: str | None = None
    split: str


Source = Annotated[
    Annotated[str, Tag("path")] | Annotated[HubSplit, Tag("hub_split")],
    Discriminator(lambda source: "path" if isinstance(source, str) else "hub_split"),
]


class DataConfig(_Section):
    """Where a task's rows are: a ``.jsonl``, ``.csv`` or ``.parquet`` path, or a hub split."""

    train: Source
    dev: Source


class LinearHeadConfig(_Section):
    """``logits = W·[1; pooled]``."""

    type: Literal["linear"] = "linear"
    dropout: float = Field(default=0.1, ge=0, lt=1)


class MlpHeadConfig(_Section):
    """Linear layers with ReLU between them."""

    type: Literal["mlp"]
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


HeadConfig = Annotated[LinearHeadConfig | MlpHeadConfig, Field(discriminator="type")]


class _Task(_Section):
    data: DataConfig
    label: Column = "label"
    head: HeadConfig = LinearHeadConfig()
    pooling: Pooling | None = None
    """Defaults to the encoder's."""
    weight: float = Field(default=1.0, gt=0)
    """Factor of the task's loss."""


class _SingleTask(_Task):
    text: Column = "text"


class _PairTask(_Task):
    text: tuple[Column, Column] = ("text_a", "text_b")
    pair: Literal["cross_encoder", "bi_encoder"]
    combine: Combine | None = None
    """How a bi-encoder joins its two vectors; ``diff_product`` unless said otherwise."""


class ClassificationConfig(_SingleTask):
    """One label for one text."""

    kind: Literal["classification"]
    labels: Labels


class RegressionConfig(_SingleTask):
    """One number for one text."""

    kind: Literal["regression"]
    range: tuple[float, float] | None = None


class PairClassificationConfig(_PairTask):
    """One label for two texts."""

    kind: Literal["pair_classification"]
    labels: Labels


class PairRegressionConfig(_PairTask):
    """One number for two texts."""

    kind: Literal["pair_regression"]
    range: tuple[float, float] | None = None


TaskConfig = Annotated[
    ClassificationConfig | RegressionConfig | PairClassificationConfig | PairRegressionConfig,
    Field(discriminator="kind"),
]


class SamplingConfig(_Section):
    """Which task the next batch comes from."""

    name: Literal["proportional", "uniform", "temperature", "round_robin"] = "proportional"
    T: float = Field(default=2.0, ge=1)
    """Temperature: p_i ∝ N_i^(1/T); 1 is proportional, large is uniform."""


class TrainingConfig(_Section):
    """The loop. ``epochs`` counts passes over the examples of all tasks together; ``steps`` overrides it."""

    epochs: float = Field(default=3.0, gt=0)
    steps: int | None = Field(default=None, gt=0)
    """Optimizer steps."""
    batch_size: int = Field(default=32, gt=0)
    batches: Literal["one_task", "metabatch"] = "one_task"
    """One task a batch, or one batch of every task and the weighted sum of their losses."""
    sampling: SamplingConfig = SamplingConfig()
    gradient_accumulation: int = Field(default=1, gt=0)
    learning_rate: Rate = 1e-3
    """Of the heads."""
    encoder_learning_rate: Rate = 5e-5
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    evaluate_every: int | None = Field(default=None, gt=0)
    """Steps between evaluations on the selection split, each followed by a checkpoint; a tenth of the run."""


class SelectionConfig(_Section):
    """How the best checkpoint is chosen: on rows set aside from train, so that dev stays for reporting."""

    fraction: float = Field(default=0.1, gt=0, lt=1)
    max_rows: int = Field(default=1000, gt=0)
    score: tuple[str, ...] | None = None
    """``task.metric`` entries whose mean is the joint score; every task's primary metric by default."""
    patience: int | None = Field(default=None, gt=0)
    """Evaluations without a better score before training stops."""


class Config(_Section):
    """One training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    seed: int = Field(default=0, ge=0)
    encoder: EncoderConfig
    tasks: dict[str, TaskConfig] = Field(min_length=1)
    training: TrainingConfig = TrainingConfig()
    selection: SelectionConfig = SelectionConfig()

    @property
    def joint_score(self) -> tuple[str, ...]:
        """``task.metric`` entries of the selection score."""
        default = tuple(f"{name}.{primary_metric(task.kind)}" for name, task in self.tasks.items())
        return self.selection.score or default


UNION_MEMBERS: Mapping[str, type[BaseModel]] = {
    "classification": ClassificationConfig,
    "regression": RegressionConfig,
    "pair_classification": PairClassificationConfig,
    "pair_regression": PairRegressionConfig,
    "linear": LinearHeadConfig,
    "mlp": MlpHeadConfig,
    "path": HubSplit,
    "hub_split": HubSplit,
}
SECTIONS: Mapping[str, type[BaseModel]] = {
    "data": DataConfig,
    "encoder": EncoderConfig,
    "sampling": SamplingConfig,
    "selection": SelectionConfig,
    "training": TrainingConfig,
}


def load_config(path: Path) -> Config:
    """Read and validate a YAML file. ``${NAME}`` and ``${NAME:-default}`` are taken from the environment.

    Raises:
        ConfigError: Naming every mistake, what was found and what is possible.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for bytes or dates that are none
        raise ConfigError(str(path), [f"is not valid YAML: {error}"]) from error
    return parse_config(_expand(raw, dict(os.environ)), source=str(path))


def parse_config(raw: object, *, source: str = "configuration") -> Config:
    """Validate a parsed YAML document.

    Raises:
        ConfigError: Naming every mistake.
    """
    if not isinstance(raw, dict):
        found = type(raw).__name__
        raise ConfigError(source, [f"expected a mapping with name, encoder and tasks, found {found}"])
    faults = list(_cross_faults(raw))
    config = None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        faults = [_sentence(fault) for fault in error.errors(include_url=False)] + faults
    if config is None or faults:
        raise ConfigError(source, faults)
    return config


def dump_config(config: Config) -> str:
    """The configuration as YAML, complete with defaults."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<` is no key of its own, and a key that is no scalar is refused below
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _expand(value: object, environment: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _expand(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, environment) for item in value]
    if isinstance(value, str):
        return VARIABLE.sub(
            lambda match: environment.get(match[1]) or (match[2] if match[2] is not None else match[0]), value
        )
    return value


def _cross_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes between fields. Works on the raw document, so that they show beside the schema's."""
    yield from _unset_faults(raw)
    declared = raw.get("tasks")
    tasks: dict[str, Any] = declared if isinstance(declared, dict) else {}
    for name, task in tasks.items():
        if not TASK_NAME.fullmatch(str(name)):
            yield f"tasks.{name}: a task's name is lower-case letters, digits and _, starting with a letter"
        elif hasattr(nn.ModuleDict(), str(name)):  # which holds the heads by their tasks' names
            yield f"tasks.{name}: PyTorch keeps this name for itself; call the task {name}_task, say"
        if isinstance(task, dict):
            yield from (f"tasks.{name}.{fault}" for fault in _task_faults(task))
    selection = raw.get("selection")
    score = selection.get("score") if isinstance(selection, dict) else None
    for entry in score if isinstance(score, list) else []:
        yield from _score_faults(str(entry), tasks)


def _unset_faults(value: object, place: str = "") -> Iterator[str]:
    """Variables that ``_expand`` left in place, wherever they are."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unset_faults(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, str) and (unset := VARIABLE.search(value)):
        hint = f"${{{unset[1]}:-default}} gives a default"
        yield f"{place}: the environment variable {unset[1]} is not set ({hint})"


def _task_faults(task: Mapping[str, Any]) -> Iterator[str]:
    if task.get("combine") is not None and task.get("pair") == "cross_encoder":
        yield "combine: only a bi_encoder combines two vectors; leave it out, or set pair: bi_encoder"
    bounds = task.get("range")
    numbers = (
        [bound for bound in bounds if isinstance(bound, int | float)] if isinstance(bounds, list) else []
    )
    if len(numbers) == 2 and not numbers[0] < numbers[1]:
        yield f"range: expected [low, high] with low < high, found {bounds}"
    labels = task.get("labels")
    if isinstance(labels, list) and len(set(map(str, labels))) < len(labels):
        yield f"labels: each label once, found {labels}"
    data = task.get("data")
    for split, source in data.items() if isinstance(data, dict) else ():
        if isinstance(source, str):
            yield from (f"data.{split}: {fault}" for fault in _path_faults(source))


def _path_faults(source: str) -> Iterator[str]:
    if VARIABLE.search(source):
        return  # said by _unset_faults
    if Path(source).suffix not in DATA_SUFFIXES:
        known = ", ".join(DATA_SUFFIXES)
        yield f"{source!r} is no {known} file; a hub dataset is written {{hub: NAME, split: NAME}}"
    elif not Path(source).is_file():
        yield f"no file {source!r} (relative paths start at {Path.cwd()})"


def _score_faults(entry: str, tasks: Mapping[str, Any]) -> Iterator[str]:
    name, _, metric = entry.partition(".")
    task = tasks.get(name)
    if task is None:
        yield f"selection.score: {entry!r} names no task{_alternatives(name, tasks)}"
        return
    known = METRICS.get(str(task.get("kind")) if isinstance(task, dict) else None, ())
    if known and metric not in known:
        yield f"selection.score: {entry!r} is no metric of {name}{_alternatives(metric, known)}"


def _sentence(fault: Mapping[str, Any]) -> str:
    """One pydantic fault as a sentence with its place and the alternatives."""
    place, model = _locate(fault["loc"])
    where = ".".join(place)
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key{_alternatives(place[-1], list(model.model_fields))}"
    if fault["type"] == "union_tag_not_found":
        return f"{where}.{fault['ctx']['discriminator'].strip(chr(39))}: Field required"
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        key = context["discriminator"].strip("'")
        known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        return f"{where}.{key}: found {context['tag']!r}{_alternatives(context['tag'], known)}"
    found = "" if fault["type"] == "missing" else f", found {fault['input']!r}"
    quote = " (write it in quotes)" if fault["type"] == "string_type" and "labels" in place else ""
    return f"{where}: {fault['msg']}{found}{quote}"


def _locate(loc: Sequence[str | int]) -> tuple[list[str], type[BaseModel]]:
    """Place of a fault in the file, and the section that its last part belongs to.

    pydantic's own place also names the member of a union that was tried, which is no place in the file.
    """
    place: list[str] = []
    model: type[BaseModel] = Config
    for number, part in enumerate(loc):
        is_task_name = number == 1 and loc[0] == "tasks"
        if part in UNION_MEMBERS and not is_task_name:
            model = UNION_MEMBERS[str(part)]
            continue
        place.append(str(part))
        if not is_task_name and number < len(loc) - 1:
            model = SECTIONS.get(str(part), model)
    return place, model


def _alternatives(word: object, known: Iterable[object]) -> str:
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} known: {', '.join(names)}"
