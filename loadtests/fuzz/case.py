"""One request as bytes, and what is known about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

Header = tuple[str, str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request on its own connection."""

    kind: str
    """What was done to it, for the report."""
    method: str
    target: str
    """Path and query."""
    route: str | None
    """As the OpenAPI document has it; None if the target names no route for certain."""
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    is_framed: bool = True
    """Whether it is HTTP at all. If not, the server may also just close the connection."""
    content_length: int | None = None
    """Declared, where it is not the body's."""
    raw: bytes | None = None
    """In place of everything else."""

    def to_bytes(self) -> bytes:
        """As it goes over the wire."""
        if self.raw is not None:
            return self.raw
        lines = [f"{self.method} {self.target} HTTP/1.1".encode(), b"Host: fuzz", b"Connection: close"]
        lines += [name.encode() + b": " + _bytes(value) for name, value in self.headers]
        names = {name.lower() for name, _ in self.headers}
        if not names & {"content-length", "transfer-encoding"} and (self.body or self.method == "POST"):
            length = len(self.body) if self.content_length is None else self.content_length
            lines.append(f"Content-Length: {length}".encode())
        return b"\r\n".join([*lines, b"", self.body])

    def but(self, kind: str, *, headers: Sequence[Header] = (), **changes: object) -> "Case":
        """The same request with something changed; given headers take the place of those of their name."""
        names = {name.lower() for name, _ in headers}
        kept = tuple(header for header in self.headers if header[0].lower() not in names)
        changed: Case = replace(self, kind=kind, headers=(*kept, *headers), **changes)  # type: ignore[arg-type]
        return changed


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
