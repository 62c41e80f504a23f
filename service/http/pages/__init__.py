"""The pages that people look at: a playground at ``/``, live figures at ``/status``.

Plain files beside this module, without a build step, a framework or another host. They use the same HTTP API
as everybody: the playground asks ``/v1/tasks`` and ``/v1/predict``, the status page reads ``/metrics``.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, Request, Response

PAGES = {"/": "playground.html", "/status": "status.html"}
ASSETS = (
    "style.css",
    "dom.js",
    "key.js",
    "answers.js",
    "playground.js",
    "prometheus.js",
    "status.js",
)
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file, as it is sent."""

    content: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, name: str) -> "PageFile":
        """Read a file of this folder, with its type and tag."""
        content = files(__name__).joinpath(name).read_bytes()
        return cls(
            content=content,
            media_type=f"{MEDIA_TYPES[name.rpartition('.')[2]]}; charset=utf-8",
            etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        )

    def answer(self, request: Request) -> Response:
        """The file, or 304 to a browser that has it. It asks each time, so that a new release is seen."""
        headers = {"etag": self.etag, "cache-control": "no-cache", **SECURITY}
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def pages_router() -> APIRouter:
    """Routes of the pages and their parts; for people, so not in the OpenAPI document."""
    router = APIRouter(include_in_schema=False)
    for path, name in {**PAGES, **{f"/pages/{name}": name for name in ASSETS}}.items():
        router.add_api_route(path, _sender(PageFile.read(name)))
    return router


def _sender(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return file.answer(request)

    return send
