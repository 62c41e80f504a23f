"""Response models → bytes.

The bodies are made of plain dicts that the engine built: pydantic-core writes them directly. Going through
the response models again would validate our own answers, at about half a millisecond for a large one.
"""

from typing import Any

from pydantic_core import to_json
from starlette.responses import Response


def json_response(body: dict[str, Any] | list[Any]) -> Response:
    """A 200 answer."""
    return Response(to_json(body), media_type="application/json")
