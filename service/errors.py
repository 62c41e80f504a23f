"""Errors of the service, and the HTTP status each one becomes.

ServiceError                  500
├── InvalidRequest            422   the client can correct it
│   ├── MalformedBody         400
│   ├── UnknownTask           404
│   ├── UnknownModel          404
│   ├── Unauthorised          401   the key is missing or wrong
│   ├── Forbidden             403   switched off
│   ├── Conflict              409   not in this state of the service
│   ├── BundleRefused         422   a bundle that must not be served
│   ├── RequestTooLarge       413
│   └── UnsupportedMediaType  415
├── Overloaded                429   the client may retry after ``retry_after_s``
│   └── RateLimited           429   its API key has used up its rate
├── InferenceFailed           500   the encoder or a head failed on this input
├── NotReady                  503   starting or draining
├── DeadlineExceeded          504
└── ClientGone                499   nobody reads the answer; for the metrics only

A bad bundle is an ``export.manifest.BundleError``, or ``SelfCheckFailed`` where its answers are wrong: both
end the start-up and never reach a client.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of a request."""

    field: str
    """Path in the body, such as ``inputs.3.text``, or the name of a header."""
    message: str


MAX_FAULTS = 100
"""Faults that an answer tells of a request."""

MAX_COUNTED = 10_000
"""Faults that are looked for. To describe one takes some microseconds and a kilobyte."""

MAX_NAME_CHARS = 100
"""Characters of a name that are given back where it is unknown."""


class ServiceError(Exception):
    """Anything that ends a request with a problem document. The message is written for the client."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    slug: ClassVar[str] = "internal-error"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        if len(errors) > MAX_FAULTS:
            or_more = " or more" if len(errors) >= MAX_COUNTED else ""
            detail += f" Told are the first {MAX_FAULTS} of {len(errors)}{or_more} faults."
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors[:MAX_FAULTS])

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        return {}


class InvalidRequest(ServiceError):  # noqa: N818 - the tree reads as states, not as SomethingError
    """The request is well-formed JSON, but says nothing that can be answered."""

    status = 422
    title = "Invalid request"
    slug = "invalid-request"


class MalformedBody(InvalidRequest):
    """The body is not JSON."""

    status = 400
    title = "Malformed body"
    slug = "malformed-body"


class UnknownTask(InvalidRequest):
    """A task that this bundle does not have."""

    status = 404
    title = "Unknown task"
    slug = "unknown-task"

    @classmethod
    def named(cls, unknown: Sequence[str], known: Sequence[str]) -> "UnknownTask":
        """Say which tasks there are instead."""
        names = ", ".join(repr(name[:MAX_NAME_CHARS]) for name in unknown[:MAX_FAULTS])
        noun = "task" if len(unknown) == 1 else "tasks"
        return cls(f"Unknown {noun} {names}. This bundle has: {', '.join(sorted(known))}.")


class UnknownModel(InvalidRequest):
    """A model, or a version of one, that is not loaded."""

    status = 404
    title = "Unknown model"
    slug = "unknown-model"


class Unauthorised(InvalidRequest):
    """The key that a route wants is missing or wrong."""

    status = 401
    title = "Unauthorised"
    slug = "unauthorised"

    @property
    def headers(self) -> dict[str, str]:
        """How to bring the key."""
        return {"www-authenticate": "Bearer"}


class Forbidden(InvalidRequest):
    """What the key does not open, or the service was not set up to do."""

    status = 403
    title = "Forbidden"
    slug = "forbidden"


class Conflict(InvalidRequest):
    """What cannot be done as things stand: the message says what would have to be done first."""

    status = 409
    title = "Conflict"
    slug = "conflict"


class BundleRefused(InvalidRequest):
    """A bundle that is damaged, or does not answer as its model did."""

    title = "Bundle refused"
    slug = "bundle-refused"


class RequestTooLarge(InvalidRequest):
    """More bytes, inputs or tokens than one request may bring."""

    status = 413
    title = "Request too large"
    slug = "request-too-large"


class UnsupportedMediaType(InvalidRequest):
    """A body of another media type, or compressed."""

    status = 415
    title = "Unsupported media type"
    slug = "unsupported-media-type"


class Overloaded(ServiceError):  # noqa: N818
    """The queue is full."""

    status = 429
    title = "Overloaded"
    slug = "overloaded"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """``Retry-After`` in whole seconds, at least one: zero would invite a busy loop."""
        return {"retry-after": str(max(1, math.ceil(self.retry_after_s)))}


class RateLimited(Overloaded):
    """An API key asks for more than it may."""

    title = "Rate limited"
    slug = "rate-limited"


class InferenceFailed(ServiceError):  # noqa: N818
    """The encoder or a head failed on an input, also when run alone."""


class NotReady(ServiceError):  # noqa: N818
    """The service is starting or draining."""

    status = 503
    title = "Not ready"
    slug = "not-ready"

    @property
    def headers(self) -> dict[str, str]:
        """A start takes a few seconds; so does a replica's replacement."""
        return {"retry-after": "2"}


class DeadlineExceeded(ServiceError):  # noqa: N818
    """The request's time is over."""

    status = 504
    title = "Deadline exceeded"
    slug = "deadline-exceeded"


class ClientGone(ServiceError):  # noqa: N818
    """The client closed the connection. 499 is nginx's word for it; nobody receives it."""

    status = 499
    title = "Client gone"
    slug = "client-gone"


class SelfCheckFailed(Exception):  # noqa: N818
    """The bundle's golden examples are not answered as the torch model answered them."""
