"""Ways to break a request. Every one draws from the given generator alone, so a seed names a run."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtests.fuzz.case import Case

JSON = ("Content-Type", "application/json")

VALUES: Sequence[Any] = (
    None, True, 0, -1, 1e308, 10**400, "", " ", "a", "\x00", "\ud7ff", "🙂" * 50, [], [[]], {}, {"": ""},
    [None], ["a", 1], {"text": None}, {"text": "a", "text_pair": []}, {"tokens": ["a", " "]}, "x" * 200_000,
    {"query": "a", "documents": ["b"] * 50}, {"choices": ["a"], "context": "b"},
)  # fmt: skip
"""What may stand anywhere in a JSON body."""

LITERALS: Sequence[bytes] = (
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999999", b"9" * 5000, b"0" * 400 + b"1", b"01", b"1.",
    b"+1", b".5", b"0x10", b"1e", b"\"\\ud800\"", b"\"\\udc00\\ud800\"", b"\"\\x41\"", b"\"\xff\"",
    b"\"\x01\"", b"\"\\u0000\"", b"'a'", b"True", b"undefined", b"/**/1", b"[1,]", b"{\"a\":1,}",
    b"\"\xed\xa0\x80\"",
)  # fmt: skip
"""What JSON is not, or hardly."""

DEPTHS = (100, 199, 201, 1000, 20_000, 200_000)


def deep(case: Case, draw: random.Random) -> Case:
    """Nested beyond reason, closed or not."""
    depth = draw.choice(DEPTHS)
    opening, closing = draw.choice([(b"[", b"]"), (b'{"inputs":', b"}"), (b'{"a":[', b"]}")])
    nested = opening * depth + b"1" + closing * draw.choice([depth, depth - 1, 0])
    return case.but("deep", body=draw.choice([nested, b'{"inputs":[' + nested + b"]}"]))


def duplicate_keys(case: Case, draw: random.Random) -> Case:
    """Keys that occur twice, with other values."""
    value = json.dumps(draw.choice(VALUES), default=str).encode()
    inside = case.body.strip()[1:]
    return case.but("duplicate keys", body=b'{"inputs":' + value + b"," + inside)


def literal(case: Case, draw: random.Random) -> Case:
    """A value that is not JSON in the place of one that is."""
    body, token = case.body, draw.choice(LITERALS)
    places = [place for place, byte in enumerate(body) if byte in b'"[{:']
    place = draw.choice(places) if places else 0
    return case.but("literal", body=body[:place] + token + body[place + draw.randint(0, 4) :])


def value(case: Case, draw: random.Random) -> Case:
    """Another value somewhere in the body."""
    try:
        body = json.loads(case.body)
    except ValueError:
        return bytes_changed(case, draw)
    return case.but("value", body=json.dumps(_changed(body, draw)).encode())


def _changed(body: Any, draw: random.Random) -> Any:  # noqa: ANN401 - JSON
    if isinstance(body, dict) and body and draw.random() < 0.8:
        name = draw.choice(list(body))
        if draw.random() < 0.15:
            return {draw.choice(["", "input", "Inputs", "__proto__"]): body[name], **body}
        return {**body, name: _changed(body[name], draw)}
    if isinstance(body, list) and body and draw.random() < 0.8:
        place = draw.randrange(len(body))
        return [*body[:place], _changed(body[place], draw), *body[place + 1 :]]
    return draw.choice(VALUES)


def bytes_changed(case: Case, draw: random.Random) -> Case:
    """Bytes flipped, cut, repeated or put in."""
    body = bytearray(case.body)
    for _ in range(draw.randint(1, 8)):
        place = draw.randint(0, len(body))
        match draw.randrange(4):
            case 0:
                body[place : place + 1] = draw.randbytes(1)
            case 1:
                del body[place : place + draw.randint(1, 10)]
            case 2:
                body[place:place] = draw.randbytes(draw.randint(1, 20))
            case _:
                body[place:place] = body[place : place + draw.randint(1, 30)]
    return case.but("bytes", body=bytes(body))


def noise(case: Case, draw: random.Random) -> Case:
    """A body of random bytes."""
    return case.but("noise", body=draw.randbytes(draw.randint(0, 3000)))


def encoding(case: Case, draw: random.Random) -> Case:
    """A body in another character encoding, with or without a mark."""
    name = draw.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "latin-1"])
    text = case.body.decode("utf-8", "replace")
    header = (JSON[0], f"application/json; charset={name}") if draw.random() < 0.5 else JSON
    return case.but("encoding", body=text.encode(name, "replace"), headers=[header])


HEADERS: Mapping[str, Sequence[str | bytes]] = {
    "Content-Type": (
        "", "text/plain", "application/json;charset=x", "application/x-ndjson", "application/octet-stream",
        "application/vnd.bentoml+pickle", "multipart/form-data; boundary=x", b"\xff\xfe", "a" * 5000,
    ),
    "Content-Encoding": ("gzip", "deflate", "br", "identity", "", "gzip, gzip"),
    "x-request-timeout-ms": ("0", "-5", "nan", "inf", "1e400", "soon", "1", "9" * 400, "²", b"\xff"),
    "Inference-Header-Content-Length": ("0", "1", "-1", "5", "9" * 30, "x", "", "²", b"\xff"),
    "x-request-id": ("a b", "x" * 5000, b"\xff", "\t", "id\t1"),
    "x-model-name": ("nope", "", b"\xff", "../.."),
    "x-model-version": ("nope", "", b"\xff"),
    "x-canary": ("always", "never", "perhaps", b"\xff"),
    "Authorization": ("Bearer", "Bearer x", "Basic eDp4", b"Bearer \xff", "", "Bearer " + "x" * 9000),
    "x-api-key": ("", "x", b"\xff", "x" * 9000),
    "Accept": ("text/html", "*/*;q=x", ""),
    "Accept-Encoding": ("gzip", "zz", ""),
    "Expect": ("100-continue",),
    "Range": ("bytes=0-1", "bytes=-"),
    "If-Match": ("*",),
    "Cookie": ("a=b; " * 500,),
    "Origin": ("null", "https://example.invalid"),
    "traceparent": ("00-0-0-0", b"\xff"),
}  # fmt: skip


def headers(case: Case, draw: random.Random) -> Case:
    """One to three odd headers."""
    names = draw.sample(list(HEADERS), draw.randint(1, 3))
    return case.but("headers", headers=[(name, draw.choice(HEADERS[name])) for name in names])


PATHS: Sequence[str] = (
    "/", "//", "/v1", "/v1/predict/", "/v1//predict", "/v1/predict%00", "/v1/%70redict", "/v1/tasks/%ff",
    "/v1/tasks/a%2Fb", "/v1/tasks/../predict", "/..%2f..%2fetc/passwd", "/static_content/../../etc/passwd",
    "/v2/models//infer",
    "/v2/models/%F0%9F%98%80/infer", "/tei/a/b/c", "/" + "a" * 8000, "/v1/tasks/" + "a" * 5000 + "/predict",
    "/%", "/v1/predict?tasks=%ff&top_k=x", "/v1/predict;a=b", "*", "/openapi.json/", "/docs/x",
    "/metrics?x[]=1",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND")


def path(case: Case, draw: random.Random) -> Case:
    """Another path or method."""
    target = draw.choice([*PATHS, case.target])
    return case.but("path", target=target, method=draw.choice([*METHODS, case.method]), route=None)


def framing(case: Case, draw: random.Random) -> Case:
    """HTTP that is broken, or breaks off."""
    whole = case.to_bytes()
    cut = draw.randint(0, len(whole))
    head, _, body = whole.partition(b"\r\n\r\n")
    broken: Sequence[bytes] = (
        whole[:cut],
        whole[:cut] + draw.randbytes(20) + whole[cut:],
        draw.randbytes(draw.randint(1, 500)),
        whole.replace(b"HTTP/1.1", draw.choice([b"HTTP/9.9", b"HTTP/1.0", b"", b"ICY"]), 1),
        head + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + body,
        head + b"\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + body[:50],
        head + b"\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n" + body,
        head + b"\r\nContent-Length: -1\r\n\r\n" + body,
        head + b"\r\nBad Header\x00: x\r\n\r\n" + body,
        head + b"\r\n" + b"X-Many: y\r\n" * 2000 + b"\r\n" + body,
        whole.replace(b"\r\n", b"\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(50),
    )
    return case.but("framing", raw=draw.choice(broken), is_framed=False, route=None)


def length(case: Case, draw: random.Random) -> Case:
    """A body that is shorter or longer than it says."""
    wrong = draw.choice([0, 1, max(0, len(case.body) - 3), len(case.body) + 5, 10**9, 10**18])
    return case.but("length", content_length=wrong, is_framed=False)


def chunked(case: Case, draw: random.Random) -> Case:
    """The same body in chunks of any size: still HTTP."""
    parts = []
    rest = case.body
    while rest:
        size = draw.randint(1, 50) if len(rest) < 5000 else len(rest)
        parts.append(f"{min(size, len(rest)):x}\r\n".encode() + rest[:size] + b"\r\n")
        rest = rest[size:]
    body = b"".join([*parts, b"0\r\n\r\n"])
    return case.but("chunked", headers=[("Transfer-Encoding", "chunked")], body=body)


MUTATIONS: Sequence[tuple[Callable[[Case, random.Random], Case], int]] = (
    (deep, 6),
    (duplicate_keys, 6),
    (literal, 15),
    (value, 20),
    (bytes_changed, 15),
    (noise, 4),
    (encoding, 5),
    (headers, 15),
    (path, 8),
    (framing, 4),
    (length, 1),
    (chunked, 2),
)
"""With how often each is drawn."""


def mutate(case: Case, draw: random.Random) -> Case:
    """One way to break a request, now and then on top of another."""
    ways, weights = zip(*MUTATIONS, strict=True)
    (way,) = draw.choices(ways, weights)
    changed: Case = way(case, draw)
    if changed.is_framed and draw.random() < 0.2:
        return headers(changed, draw)
    return changed
