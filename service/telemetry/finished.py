"""What is known of a request once it was answered."""

from dataclasses import dataclass
from typing import Any

from service.engine import StageTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRequest:
    """One answered request, without anything of its body."""

    request_id: str
    method: str
    route: str
    """Its pattern, such as ``/v1/tasks/{task}/predict``; never the path itself, which a client chose."""
    status: int
    seconds: float
    times: StageTimes
    tasks: tuple[str, ...]
    """That were asked, if they are known to exist."""
    model: tuple[str, str] | None
    """Name and version of what answered."""

    def facts(self) -> dict[str, Any]:
        """As log fields and span attributes have them: flat, by OpenTelemetry's names where it has some."""
        name, version = self.model or (None, None)
        facts = {
            "http.request.method": self.method,
            "http.route": self.route,
            "http.response.status_code": self.status,
            "encodeonce.request_id": self.request_id,
            "encodeonce.tasks": list(self.tasks) or None,
            "encodeonce.model": name,
            "encodeonce.version": version,
        }
        return {key: value for key, value in facts.items() if value is not None}
