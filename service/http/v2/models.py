"""What a client of the protocol sees as models."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.engine import EMBEDDINGS, Engine
from service.errors import FieldError, InvalidRequest, UnknownModel
from service.http.v2.inputs import LIST_FIELDS
from service.http.v2.outputs import ANY, TRUNCATED, Output, json_output, task_outputs
from service.http.v2.schemas import ModelMetadata, TensorMetadata
from service.inputs import FIELDS

PLATFORM = "onnxruntime_onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A task, all tasks, or the encoder's vectors."""

    name: str
    version: str
    tasks: tuple[str, ...] | None
    """Names of the tasks that it answers; None for the encoder's vectors."""
    answers_all: bool = False
    """Whether its outputs are tasks, of which a request gets those that take its form of input."""
    forms: tuple[type, ...]
    """Forms of input that it takes, of ``service.inputs``."""
    outputs: tuple[Output, ...]

    @property
    def metadata(self) -> ModelMetadata:
        """The answer of ``GET /v2/models/{model}``."""
        fields = dict.fromkeys(name for form in self.forms for names in FIELDS[form] for name in names)
        return ModelMetadata(
            name=self.name,
            versions=[self.version],
            platform=PLATFORM,
            inputs=[
                TensorMetadata(
                    name=name, datatype="BYTES", shape=[ANY, ANY] if name in LIST_FIELDS else [ANY]
                )
                for name in fields
            ],
            outputs=[each.metadata for each in self.outputs],
        )


def find_model(engine: Engine, name: str, version: str | None = None) -> Model:
    """The model of this name.

    Raises:
        UnknownModel: If there is none, or not in this version. The message names what there is.
    """
    manifest = engine.manifest
    if version is not None and version != manifest.version:
        raise UnknownModel(f"There is no version {version!r} of {name!r}. Served is: {manifest.version}.")
    if name in engine.kinds:
        kind = engine.kinds[name]
        return Model(
            name=name,
            version=manifest.version,
            tasks=(name,),
            forms=kind.reader.takes,
            outputs=task_outputs(name, kind.entry),
        )
    if name == manifest.name:
        forms = dict.fromkeys(form for kind in engine.kinds.values() for form in kind.reader.takes)
        outputs = tuple(json_output(task, name=task) for task in engine.kinds)
        return Model(
            name=name,
            version=manifest.version,
            tasks=tuple(engine.kinds),
            answers_all=True,
            forms=tuple(forms),
            outputs=outputs,
        )
    if name == EMBEDDINGS:
        outputs = _embedding_outputs(manifest.encoder.hidden_size)
        return Model(name=name, version=manifest.version, tasks=None, forms=(str,), outputs=outputs)
    known = ", ".join([*sorted(engine.kinds), manifest.name, EMBEDDINGS])
    raise UnknownModel(f"Unknown model {name!r}. Served are: {known}.")


def _embedding_outputs(hidden_size: int) -> tuple[Output, ...]:
    return (
        Output(name="embedding", datatype="FP32", row_shape=(hidden_size,), read=lambda row: row[0]),
        Output(name=TRUNCATED.name, datatype=TRUNCATED.datatype, read=lambda row: row[1]),
    )


def chosen_outputs(model: Model, names: Sequence[str] | None) -> tuple[Output, ...]:
    """The outputs of these names, in their order; all, if none are named.

    Raises:
        InvalidRequest: Naming those that the model does not have, or that are named twice.
    """
    if names is None:
        return model.outputs
    by_name = {each.name: each for each in model.outputs}
    faults = [
        FieldError(f"outputs.{place}.name", f"Expected one of {', '.join(by_name)}, each once.")
        for place, name in enumerate(names)
        if name not in by_name or name in names[:place]
    ]
    if faults:
        raise InvalidRequest(f"Model {model.name} has no such outputs.", errors=faults)
    return tuple(by_name[name] for name in names)
