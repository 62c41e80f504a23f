"""How many texts a request may bring, and how long they may be."""

from collections.abc import Iterable, Sequence
from itertools import islice

from service.counting import check_count
from service.errors import MAX_COUNTED, FieldError, InvalidRequest
from service.inputs import TaskInput, TokensInput, count_sequences, named_texts
from service.settings import Settings


def check_inputs(inputs: Sequence[TaskInput], settings: Settings) -> None:
    """Apply the limits to the inputs of a prediction. Every document and every choice counts as an input.

    Raises:
        RequestTooLarge: If there are too many.
        InvalidRequest: If texts are blank or too long. Each is named.
    """
    check_count(sum(map(count_sequences, inputs)), settings.max_inputs)
    _refuse(
        FieldError(f"inputs.{index}.{path}", fault)
        for index, each in enumerate(inputs)
        if not _are_good_tokens(each, settings)
        for path, text in named_texts(each)
        if (fault := _fault(text, settings))
    )


def check_texts(texts: Sequence[str], settings: Settings) -> None:
    """Apply the limits to texts that are to be embedded.

    Raises:
        RequestTooLarge: If there are too many.
        InvalidRequest: If texts are blank or too long. Each is named.
    """
    check_count(len(texts), settings.max_inputs)
    _refuse(
        FieldError(f"input.{index}", fault)
        for index, text in enumerate(texts)
        if (fault := _fault(text, settings))
    )


def _are_good_tokens(each: TaskInput, settings: Settings) -> bool:
    """Quicker than one by one: a request may have a million."""
    return (
        isinstance(each, TokensInput)
        and len(each.text) <= settings.max_text_chars
        and all(map(str.strip, each.tokens))
    )


def _fault(text: str, settings: Settings) -> str | None:
    if len(text) > settings.max_text_chars:
        return f"{len(text)} characters; at most {settings.max_text_chars}."
    if not text or text.isspace():  # stops at the first visible character
        return "Expected a text, found none." if not text else "Expected a text, found white space alone."
    return None


def _refuse(faults: Iterable[FieldError]) -> None:
    if found := list(islice(faults, MAX_COUNTED)):
        raise InvalidRequest("Some texts are blank or too long.", errors=found)
