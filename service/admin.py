"""``python -m service.admin``: the admin API from a shell. Standard library alone.

    python -m service.admin models
    python -m service.admin load bundles/support_desk-2            # gets no traffic yet
    python -m service.admin canary support_desk 20261126.120000 5  # per cent
    python -m service.admin swap support_desk 20261126.120000
    python -m service.admin rollback support_desk
    python -m service.admin unload support_desk 20261126.120000
    python -m service.admin drain                                  # as a preStop hook: before SIGTERM

The key is read from ``ENCODEONCE_ADMIN_KEY``, the address from ``ENCODEONCE_ADMIN_URL`` or ``--url``. By
default it is that of a service on this machine with the same ``ENCODEONCE_ADMIN_HOST`` and ``_PORT``. It is
asked directly: the environment's proxies are left aside, and no redirect is followed, as either would get
the key.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request, UnknownHandler

MAIN_PORT = "3000"
"""BentoML's default, where the admin API is on the service's own port."""
ADMIN_PORT = "3900"
"""As service/settings.py has it, which needs pydantic."""
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on

TIMEOUT_S = 300.0
"""Loading a bundle takes seconds; a large one on a busy machine, minutes."""

DRAIN_POLL_S = 0.2


def default_url(environment: Mapping[str, str]) -> str:
    """Where a service of this environment has its admin API."""
    if url := environment.get("ENCODEONCE_ADMIN_URL"):
        return url
    host = environment.get("ENCODEONCE_ADMIN_HOST", "")
    port = environment.get("ENCODEONCE_ADMIN_PORT", ADMIN_PORT)
    if port == "main":
        return f"http://127.0.0.1:{MAIN_PORT}"
    if host in ANY_ADDRESS:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class AdminError(Exception):
    """The service refused, or did not answer. The message says why."""


class AdminClient:
    """Calls of the admin API."""

    def __init__(self, url: str, key: str) -> None:
        """Open nothing yet.

        Raises:
            AdminError: If no header can carry the key; http.client's own message would show it.
        """
        if not (key.isascii() and key.isprintable()):
            raise AdminError("ENCODEONCE_ADMIN_KEY holds something else than printable ASCII")
        self._url = url.rstrip("/")
        self._key = key
        self._opener = OpenerDirector()  # build_opener would add proxies and redirects
        for handler in (HTTPHandler(), HTTPSHandler(), UnknownHandler()):
            self._opener.add_handler(handler)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """The answer's JSON.

        Raises:
            AdminError: With the problem document's detail, or what kept the service from answering.
        """
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            request = Request(f"{self._url}/admin/v1{path}", data=data, headers=headers, method=method)  # noqa: S310
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                status, answer = response.status, response.read()
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise AdminError(f"{self._url} does not answer: {reason}") from None
        if not 200 <= status < 300:
            raise AdminError(f"{status}: {_detail(answer)}")
        try:
            return json.loads(answer)
        except ValueError:
            raise AdminError(f"{self._url} is no admin API; it answers {_excerpt(answer)!r}") from None


def _detail(body: bytes) -> str:
    try:
        problem = json.loads(body)
        faults = [f"{each['field']}: {each['message']}" for each in problem.get("errors", ())]
        return " ".join([problem["detail"], *faults])
    except (ValueError, KeyError, TypeError):
        return _excerpt(body)


def _excerpt(body: bytes) -> str:
    return body[:500].decode(errors="replace")


Command = Callable[[AdminClient, argparse.Namespace], Any]


def _route(name: str) -> str:
    return f"/routes/{quote(name, safe='')}"


def _load(client: AdminClient, given: argparse.Namespace) -> Any:  # noqa: ANN401
    path = str(given.path if given.remote else given.path.absolute())
    return client.call("POST", "/models", {"path": path, "swap": given.swap})


def _unload(client: AdminClient, given: argparse.Namespace) -> Any:  # noqa: ANN401
    return client.call("DELETE", f"/models/{quote(given.name, safe='')}/{quote(given.version, safe='')}")


def _share(role: str) -> Command:
    def change(client: AdminClient, given: argparse.Namespace) -> Any:  # noqa: ANN401
        share = None if given.off else {"version": given.version, "percent": given.percent}
        return client.call("PATCH", _route(given.name), {role: share})

    return change


def _drain(client: AdminClient, given: argparse.Namespace) -> Any:  # noqa: ANN401
    """Readiness off; then wait until no request has been under way for a while, or the limit."""
    status = client.call("POST", "/drain")
    ends_s = time.monotonic() + given.limit_s
    quiet_since_s = time.monotonic()
    while time.monotonic() < ends_s:
        if status["requests"]:
            quiet_since_s = time.monotonic()
        elif time.monotonic() - quiet_since_s >= given.quiet_s:
            break
        time.sleep(DRAIN_POLL_S)
        status = client.call("GET", "/status")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service.admin", description="Change what is served.")
    parser.add_argument("--url", default=default_url(os.environ))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str, *arguments: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        for argument in arguments:
            command.add_argument(argument)
        command.set_defaults(run=run)
        return command

    add("models", lambda client, _: client.call("GET", "/models"), "list models and routes")
    load = add("load", _load, "load a bundle; it gets no traffic yet")
    load.add_argument("path", type=Path)
    load.add_argument("--swap", action="store_true", help="make it the default version at once")
    load.add_argument("--remote", action="store_true", help="take the path as the server's, unchanged")
    add(
        "swap",
        lambda client, given: client.call("PATCH", _route(given.name), {"default": given.version}),
        "make a loaded version the default one",
        "name",
        "version",
    )
    for role, text in (("canary", "answers"), ("shadow", "answers a copy of")):
        share = add(
            role, _share(role), f"let a version that {text} a share of the requests, or end it", "name"
        )
        share.add_argument("version", nargs="?")
        share.add_argument("percent", nargs="?", type=float)
        share.add_argument("--off", action="store_true", help="end it")
    add(
        "rollback",
        lambda client, given: client.call("POST", f"{_route(given.name)}/rollback"),
        "return to the previous default version",
        "name",
    )
    add("drift", lambda client, given: client.call("GET", f"{_route(given.name)}/drift"),
        "compare served answers with the shadow's", "name")  # fmt: skip
    add("status", lambda client, _: client.call("GET", "/status"), "phase and requests under way")
    drain = add("drain", _drain, "turn readiness off, and wait until no requests come any more")
    drain.add_argument("--quiet-s", type=float, default=3.0, help="seconds without a request that are enough")
    drain.add_argument("--limit-s", type=float, default=20.0, help="seconds after which to give up waiting")
    add("unload", _unload, "take a version away that gets no traffic", "name", "version")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the answer goes to standard output as JSON."""
    given = _parser().parse_args(arguments)
    key = os.environ.get("ENCODEONCE_ADMIN_KEY", "")
    try:
        answer = given.run(AdminClient(given.url, key), given)
    except AdminError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
