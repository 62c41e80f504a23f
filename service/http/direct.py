"""Routes that answer by themselves, for the requests that must be quick."""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """FastAPI finds and describes it; nothing of FastAPI's stands between the request and the endpoint.

    The endpoint takes the request and the path's parameters, as text, reads everything else by itself, and
    gives a whole response. What it raises, the application's handlers answer. It belongs on the application
    itself: a router that is included wraps its routes anew.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401
        super().__init__(path, endpoint, **options)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response: Response = await self.endpoint(request, **request.path_params)
        await response(scope, receive, send)
