"""Input tensors → the service's inputs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import FieldError, InvalidRequest, MalformedBody
from service.http.places import Places, told_as
from service.http.requests import parse_inputs
from service.http.v2.framing import split_tensors, unpack_strings
from service.http.v2.schemas import InputTensor
from service.inputs import FIELDS, TaskInput

LIST_FIELDS = frozenset({"documents", "choices", "tokens"})
"""Fields that hold several texts of one input; their tensors have a second dimension."""


def read_inputs(
    tensors: Sequence[InputTensor], payload: bytes, *, forms: Sequence[type], max_inputs: int
) -> list[TaskInput]:
    """One input for each place of the first dimension.

    Args:
        tensors: As the request describes them.
        payload: The bytes behind the JSON header.
        forms: Of input, that the model takes.
        max_inputs: Bound of the first dimension.

    Raises:
        MalformedBody: If the bytes are not the tensors that the request describes.
        InvalidRequest: If the tensors are not the fields of one of the forms, or their shapes do not fit.
    """
    _check_names(tensors, forms)
    sizes = [each.parameters.binary_data_size for each in tensors]
    binary = iter(split_tensors(payload, [size for size in sizes if size is not None]))
    count = tensors[0].shape[0]
    faults, columns = [], {}
    for place, (tensor, size) in enumerate(zip(tensors, sizes, strict=True)):
        texts = _texts(tensor, None if size is None else next(binary), place)
        if fault := _shape_fault(tensor, len(texts), count):
            faults.append(FieldError(f"inputs.{place}.shape", fault))
        columns[tensor.name] = texts
    if not 0 < count <= max_inputs:
        faults.append(FieldError("inputs.0.shape", f"Expected 1 to {max_inputs} inputs, found {count}."))
    if faults:
        raise InvalidRequest("The shapes of the input tensors do not fit.", errors=faults)
    with told_as(places_in(tensors)):
        return parse_inputs(_rows(columns, count), max_inputs=max_inputs)


def places_in(tensors: Sequence[InputTensor]) -> Places:
    """Where texts of inputs stand among tensors: ``inputs.1.data.5``."""
    by_name = {each.name: (place, each) for place, each in enumerate(tensors)}

    def place_of(number: int, within: Sequence[str]) -> str:
        if not within and len(tensors) > 1:
            return "inputs"
        name, *index = within or [tensors[0].name]
        place, tensor = by_name[name]
        if name not in LIST_FIELDS:
            return f"inputs.{place}.data.{number}"
        return (
            f"inputs.{place}.data.{number * tensor.shape[1] + int(index[0])}" if index else f"inputs.{place}"
        )

    return place_of


def _check_names(tensors: Sequence[InputTensor], forms: Sequence[type]) -> None:
    names = [each.name for each in tensors]
    known = [fields for form in forms for fields in FIELDS[form]]
    if len(set(names)) < len(names) or set(names) not in map(set, known):
        expected = "; ".join(" and ".join(fields) for fields in known)
        raise InvalidRequest(
            f"The input tensors are {', '.join(names)[:200]}. Expected those of one input: {expected}.",
            errors=[FieldError("inputs", "Not the fields of an input that this model takes.")],
        )


def _texts(tensor: InputTensor, binary: bytes | None, place: int) -> list[str]:
    if (binary is None) == (tensor.data is None):
        fault = FieldError(f"inputs.{place}", "Expected either data or parameters.binary_data_size.")
        raise InvalidRequest("An input tensor has no data, or has it twice.", errors=[fault])
    if binary is None:
        return _flat(tensor, place)
    try:
        return [each.decode() for each in unpack_strings(binary)]
    except UnicodeDecodeError as error:
        raise MalformedBody(f"Input tensor {tensor.name} holds bytes that are not UTF-8: {error}.") from None


def _flat(tensor: InputTensor, place: int) -> list[str]:
    """Elements in row-major order; nested ones must be nested as the shape says."""
    data = tensor.data or []
    rows = [each for each in data if isinstance(each, list)]
    if not rows:
        return [each for each in data if isinstance(each, str)]
    if len(rows) < len(data) or len(tensor.shape) < 2 or any(len(row) != tensor.shape[1] for row in rows):
        fault = FieldError(f"inputs.{place}.data", f"Not nested as the shape {tensor.shape} says.")
        raise InvalidRequest("The data of an input tensor does not fit its shape.", errors=[fault])
    return [text for row in rows for text in row]


def _shape_fault(tensor: InputTensor, num_texts: int, count: int) -> str | None:
    first, *rest = tensor.shape
    if tensor.name in LIST_FIELDS and not rest:
        return "Expected [inputs, texts]."
    if tensor.name not in LIST_FIELDS and rest not in ([], [1]):
        return "Expected [inputs] or [inputs, 1]."
    if first != count:
        return f"Expected {count} inputs, as the first tensor has; found {first}."
    expected = first * (rest[0] if rest else 1)
    if num_texts != expected:
        return f"The shape {tensor.shape} has {expected} elements; found {num_texts}."
    return None


def _rows(columns: Mapping[str, list[str]], count: int) -> list[dict[str, Any]]:
    return [
        {
            name: _part(texts, index, count) if name in LIST_FIELDS else texts[index]
            for name, texts in columns.items()
        }
        for index in range(count)
    ]


def _part(texts: list[str], index: int, count: int) -> list[str]:
    width = len(texts) // count
    return texts[index * width : (index + 1) * width]
