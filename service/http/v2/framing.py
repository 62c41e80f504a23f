r"""Triton's binary tensor extension: a JSON header, then the tensors' bytes in the header's order. Pure.

    Inference-Header-Content-Length: 131

    {"inputs": [{"name": "text", …, "parameters": {"binary_data_size": 14}}, …]}   131 bytes
    \x0a\x00\x00\x00red parcel …                                                  14 bytes, …

A tensor of strings (``BYTES``) is each element's length in four bytes, little-endian, then the element.
"""

from collections.abc import Iterable, Sequence

from service.errors import MalformedBody

HEADER_LENGTH = "inference-header-content-length"

PREFIX_BYTES = 4


def split_body(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """The JSON header and what follows it.

    Args:
        body: The whole body.
        header_length: The ``Inference-Header-Content-Length`` header; without it all is JSON.

    Raises:
        MalformedBody: If the length is not a number of bytes that the body has.
    """
    if header_length is None:
        return body, b""
    is_number = header_length.isascii() and header_length.isdigit() and len(header_length) < 20
    if not is_number or int(header_length) > len(body):
        raise MalformedBody(
            "Expected Inference-Header-Content-Length to be a number of bytes that the body has, at most "
            f"{len(body)}; found {header_length[:40]!r}."
        )
    length = int(header_length)
    return body[:length], body[length:]


def split_tensors(payload: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The bytes of each tensor.

    Raises:
        MalformedBody: If the sizes do not add up to the payload.
    """
    if sum(sizes) != len(payload):
        raise MalformedBody(
            f"The tensors' binary_data_size add up to {sum(sizes)} bytes, but the header is followed by "
            f"{len(payload)}."
        )
    tensors: list[bytes] = []
    start = 0
    for size in sizes:
        tensors.append(payload[start : start + size])
        start += size
    return tensors


def pack_strings(elements: Iterable[bytes]) -> bytes:
    """Elements → a ``BYTES`` tensor."""
    return b"".join(part for each in elements for part in (len(each).to_bytes(PREFIX_BYTES, "little"), each))


def unpack_strings(tensor: bytes) -> list[bytes]:
    """A ``BYTES`` tensor → its elements.

    Raises:
        MalformedBody: If an element does not end within the tensor.
    """
    elements: list[bytes] = []
    start = 0
    while start < len(tensor):
        first = start + PREFIX_BYTES
        end = first + int.from_bytes(tensor[start:first], "little")
        if first > len(tensor) or end > len(tensor):
            raise MalformedBody(
                f"Element {len(elements)} of a binary tensor claims to end at byte {end} of {len(tensor)}."
            )
        elements.append(tensor[first:end])
        start = end
    return elements
