"""Log lines as JSON objects, and one for each request if asked."""

import datetime as dt
import json
import logging

from service.telemetry.finished import FinishedRequest

SERVICE_LOGGER = "bentoml"
"""Everything that the process logs passes here: BentoML's lines and ours."""
FIELDS = "encodeonce_fields"
"""A record's attribute with fields for the JSON line."""

access_logger = logging.getLogger("bentoml.encodeonce.access")


class JsonFormatter(logging.Formatter):
    """A record → one line of JSON. Line breaks of a message are escaped, so no message can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        time = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def use_json(logger: logging.Logger) -> None:
    """Let a logger's handlers write JSON."""
    for handler in logger.handlers:
        handler.setFormatter(JsonFormatter())


def log_request(request: FinishedRequest) -> None:
    """One line for a request: who answered, how long each stage took. Nothing of the texts."""
    stages = {f"{stage}_ms": round(1e3 * seconds, 3) for stage, seconds in request.times.by_stage().items()}
    fields = {**request.facts(), "duration_ms": round(1e3 * request.seconds, 3), **stages}
    access_logger.info(
        "%s %s %d in %.1f ms (%s)",
        request.method,
        request.route,
        request.status,
        1e3 * request.seconds,
        request.request_id,
        extra={FIELDS: fields},
    )
