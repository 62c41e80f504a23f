"""How many values a request may bring, told from the length of a list before anything in it is looked at.

To say what is wrong with a value costs a hundred times what it cost to send it: a body of eight megabytes can
hold four million of them.
"""

from typing import Any

from pydantic import BeforeValidator, Field, ValidationInfo

from service.errors import RequestTooLarge

MAX_NAMES = 1024
"""Names of tasks, outputs or tensors in a request. A bundle has some dozens."""


def check_count(count: int, max_inputs: int) -> None:
    """Refuse what is too much for one request. Every document and every choice counts as an input.

    Raises:
        RequestTooLarge: If there are too many.
    """
    if count > max_inputs:
        raise RequestTooLarge(f"{count} inputs; at most {max_inputs} a request. Split it.")


def _check_length(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - whatever the client sent
    if info.context is not None and isinstance(value, list):
        check_count(len(value), info.context)
    return value


COUNTED = BeforeValidator(_check_length)
"""Of a list whose elements count as inputs; the bound is the validation's context. Stands last, so as to be
asked first."""

FIRST_FAULT: Any = Field(fail_fast=True)
"""Of a list within an input: its first fault is told, as each of a thousand inputs may have such a list."""
