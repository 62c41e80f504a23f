"""``truncate: false``: a text that was cut is refused."""

from collections.abc import Iterable

from service.errors import FieldError, InvalidRequest


def refuse_truncated(truncate: bool | None, are_truncated: Iterable[bool]) -> None:
    """Heed a request's ``truncate``.

    Raises:
        InvalidRequest: If it is false and a text was cut.
    """
    if truncate is False and any(are_truncated):
        fault = FieldError("truncate", "Leave it out, or shorten the texts.")
        raise InvalidRequest("A text is longer than the encoder reads.", errors=[fault])
