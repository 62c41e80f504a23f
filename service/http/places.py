"""Where a fault lies, in the words of the protocol that its request came in."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from service.errors import FieldError, InvalidRequest

Places: TypeAlias = Callable[[int, Sequence[str]], str]
"""Number of an input, and path within it (``("documents", "3")``) → path in the client's body."""


@contextmanager
def told_as(places: Places) -> Iterator[None]:
    """Let faults of inputs name the places that the client wrote them in.

    The service's own words for them are ``inputs.0.documents.3`` and, of texts to be embedded, ``input.0``.

    Raises:
        InvalidRequest: As it was raised within, but for its places.
    """
    try:
        yield
    except InvalidRequest as error:
        error.errors = tuple(_moved(fault, places) for fault in error.errors)
        raise


def _moved(fault: FieldError, places: Places) -> FieldError:
    root, *path = fault.field.split(".")
    if root not in ("inputs", "input") or not path:
        return fault
    return replace(fault, field=places(int(path[0]), path[1:]))
