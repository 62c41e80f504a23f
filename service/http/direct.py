"""Routes that answer by themselves, for the requests that must be quick."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class DirectRoute(APIRoute):
    """FastAPI finds and describes it; nothing of FastAPI's stands between the request and the endpoint.

    The endpoint takes the request and the path's parameters, as text, reads everything else by itself, and
    gives a whole response.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Call the endpoint."""
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            response: Response = await endpoint(request, **request.path_params)
            return response

        return answer
