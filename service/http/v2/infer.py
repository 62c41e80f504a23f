"""A read request → a response, in the form that it asked for."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from service.errors import FieldError, InvalidRequest
from service.http.answering import embed, permitted_tasks, predict
from service.http.context import context_of
from service.http.models import Leased
from service.http.places import told_as
from service.http.requests import left_s, timeout_s
from service.http.v2.framing import HEADER_LENGTH
from service.http.v2.inputs import places_in, read_inputs
from service.http.v2.models import Model, chosen_outputs
from service.http.v2.outputs import Output, Row, Tensor
from service.http.v2.schemas import InferRequest
from service.inputs import TaskInput
from service.kinds.base import AnswerOptions

BINARY = "application/octet-stream"


async def infer(
    request: Request, leased: Leased, model: Model, asked: InferRequest, payload: bytes
) -> Response:
    """Answer an inference.

    Raises:
        ServiceError: As ``service.errors`` tells them apart.
    """
    names = None if asked.outputs is None else [each.name for each in asked.outputs]
    outputs = chosen_outputs(model, names)
    settings = leased.settings
    inputs = read_inputs(asked.inputs, payload, forms=model.forms, max_inputs=settings.max_inputs)
    seconds = timeout_s(request, settings)
    if asked.parameters.timeout:
        seconds = left_s(request, min(asked.parameters.timeout / 1e6, settings.max_timeout_s))
    with told_as(places_in(asked.inputs)):
        if model.tasks is None:
            texts = [each for each in inputs if isinstance(each, str)]  # its only form
            found = await embed(request, leased, texts, timeout_s=seconds)
            rows: list[Row] = list(zip(found.vectors, found.is_truncated, strict=True))
        else:
            if names is None:
                outputs = _open_outputs(request, leased, model)
            outputs, tasks = _fitting(leased, model, outputs, inputs[0], are_named=names is not None)
            options = _options(model, outputs)
            prediction = await predict(
                request, leased, inputs, tasks=tasks, options=options, timeout_s=seconds
            )
            rows = list(prediction.answers)
    return _response(model, asked, [each.tensor(rows) for each in outputs])


def _options(model: Model, outputs: Sequence[Output]) -> AnswerOptions:
    wanted = {each.name for each in outputs}
    return AnswerOptions(
        return_scores="scores" in wanted or model.answers_all, return_logits="logits" in wanted
    )


def _open_outputs(request: Request, leased: Leased, model: Model) -> tuple[Output, ...]:
    """Of a model of all tasks: those that the request's key opens.

    Raises:
        Forbidden: If it opens none.
    """
    opened = permitted_tasks(context_of(request), leased, None) if model.answers_all else None
    return model.outputs if opened is None else tuple(each for each in model.outputs if each.name in opened)


def _fitting(
    leased: Leased, model: Model, outputs: tuple[Output, ...], each: TaskInput, *, are_named: bool
) -> tuple[tuple[Output, ...], tuple[str, ...]]:
    """Of a model of all tasks: those asked, or those that take this form of input."""
    assert model.tasks is not None  # noqa: S101 - the caller's case
    if not model.answers_all:
        return outputs, model.tasks
    kinds = leased.engine.kinds
    fitting = [output for output in outputs if type(each) in kinds[output.name].reader.takes]
    if are_named and len(fitting) < len(outputs):
        faults = [
            FieldError(f"outputs.{place}.name", f"Task {output.name} does not take this form of input.")
            for place, output in enumerate(outputs)
            if output not in fitting
        ]
        raise InvalidRequest("Some tasks asked for do not take the input.", errors=faults)
    # If none does, the engine's planning says what they take.
    answered = tuple(fitting) or outputs
    return answered, tuple(output.name for output in answered)


def _response(model: Model, asked: InferRequest, tensors: Sequence[Tensor]) -> Response:
    chosen = {each.name: each.parameters.binary_data for each in asked.outputs or ()}
    default = asked.parameters.binary_data_output
    described: list[dict[str, Any]] = []
    payloads: list[bytes] = []
    for tensor in tensors:
        output = tensor.output
        entry: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": tensor.shape}
        given = chosen.get(output.name)
        if default if given is None else given:
            payloads.append(tensor.to_bytes())
            entry["parameters"] = {"binary_data_size": len(payloads[-1])}
        else:
            entry["data"] = tensor.to_list()
        described.append(entry)
    body: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": described}
    if asked.id is not None:
        body["id"] = asked.id
    header = to_json(body)
    if not payloads:
        return Response(header, media_type="application/json")
    return Response(header + b"".join(payloads), media_type=BINARY, headers={HEADER_LENGTH: str(len(header))})
