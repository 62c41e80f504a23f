"""The process that sends an open loop: sockets, epoll, and a clock. Started by ``loadtests.open_loop``.

Standard input: one line of JSON (host, port, times_s, lengths, grace_s, cpu), then the raw HTTP requests one
behind the other. Standard output: ``outcomes`` as ``[sent_s, finished_s, status]``, and the CPU it took.

An HTTP library takes some hundred microseconds a request, which on a shared core come out of the server.
Answers are read as far as status and length; times are good to a millisecond.
"""

import gc
import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

TICK_S = 1e-3
"""What epoll waits in. The rest until the next request is slept."""
READ_BYTES = 65_536
HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
SHOWN_BYTES = 500
"""Of an answer that is no success."""

READABLE = select.EPOLLIN | select.EPOLLRDHUP
CLOSED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Connection:
    """One socket, and the request that is under way on it."""

    __slots__ = ("number", "received", "socket", "unsent")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(address)
        self.number = -1
        """Of the request; -1 where there is none."""
        self.unsent = b""
        self.received = bytearray()


class Sender:
    """Sends each request at its time, on an idle connection or a new one."""

    def __init__(
        self, address: tuple[str, int], requests: Sequence[bytes], times_s: Sequence[float], *, grace_s: float
    ) -> None:
        self._address = address
        self._requests = requests
        self._times_s = times_s
        self._grace_s = grace_s
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._num_open = 0
        self.started_s = 0.0
        self.outcomes: list[tuple[float, float, int | None]] = [(0.0, 0.0, None)] * len(requests)
        self.failures: dict[str, str] = {}

    def run(self) -> None:
        """Send everything; return when all is answered, or the grace is over."""
        self.started_s = time.monotonic()
        due, count = 0, len(self._requests)
        limit_s = self._times_s[-1] + self._grace_s
        while self._now_s() < limit_s:
            while due < count and self._times_s[due] <= self._now_s():
                self._send(due)
                due += 1
            if due == count and not self._num_open:
                break
            self._wait(self._times_s[due] if due < count else limit_s)
        for connection in [each for each in self._connections.values() if each.number >= 0]:
            self._end(connection, None, f"No answer {self._grace_s} s after the last request.")

    def _now_s(self) -> float:
        return time.monotonic() - self.started_s

    def _wait(self, until_s: float) -> None:
        left_s = max(0.0, until_s - self._now_s())
        # epoll rounds up to whole milliseconds.
        events = self._epoll.poll(left_s // TICK_S * TICK_S)
        for descriptor, event in events:
            self._serve(self._connections[descriptor], event)
        if not events and (rest_s := until_s - self._now_s()) > 0:
            time.sleep(min(rest_s, TICK_S))

    def _send(self, number: int) -> None:
        self.outcomes[number] = (self._now_s(), 0.0, None)
        self._num_open += 1
        connection = self._idle.pop() if self._idle else self._connect()
        connection.number = number
        connection.received.clear()
        connection.unsent = self._requests[number]
        self._flush(connection)

    def _connect(self) -> Connection:
        connection = Connection(self._address)
        descriptor = connection.socket.fileno()
        self._connections[descriptor] = connection
        self._epoll.register(descriptor, READABLE)
        return connection

    def _flush(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lose(connection, str(error))
            return
        connection.unsent = connection.unsent[sent:]
        wanted = READABLE | (select.EPOLLOUT if connection.unsent else 0)
        self._epoll.modify(connection.socket.fileno(), wanted)

    def _serve(self, connection: Connection, event: int) -> None:
        if event & select.EPOLLOUT and connection.unsent:
            self._flush(connection)
        if event & (READABLE | CLOSED):
            self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            received = connection.socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(connection, str(error))
            return
        if not received:
            self._lose(connection, "The server closed the connection.")
            return
        connection.received += received
        if is_complete(connection.received) and connection.number >= 0:
            self._finish(connection)

    def _finish(self, connection: Connection) -> None:
        head, _, body = connection.received.partition(HEAD_END)
        self._end(connection, int(head[9:12]), body[:SHOWN_BYTES].decode(errors="replace"))
        if b"\r\nconnection: close" in head.lower():
            self._close(connection)
        else:
            self._idle.append(connection)

    def _lose(self, connection: Connection, why: str) -> None:
        if connection.number >= 0:
            self._end(connection, None, why)
        else:
            self._idle.remove(connection)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        descriptor = connection.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._connections[descriptor]
        connection.socket.close()

    def _end(self, connection: Connection, status: int | None, said: str) -> None:
        sent_s, _, _ = self.outcomes[connection.number]
        self.outcomes[connection.number] = (sent_s, self._now_s(), status)
        if status != 200:
            self.failures.setdefault(str(status), said)
        self._num_open -= 1
        connection.number = -1


def is_complete(received: bytearray) -> bool:
    """Whether this is a whole answer, by its length or its last chunk."""
    end = received.find(HEAD_END)
    if end < 0:
        return False
    head = bytes(received[: end + 2]).lower()
    before, found, after = head.partition(b"\r\ncontent-length:")
    if found:
        return len(received) - end - len(HEAD_END) >= int(after.partition(b"\r\n")[0])
    return b"\r\ntransfer-encoding: chunked" in before and received.endswith(LAST_CHUNK)


def _cut(content: bytes, lengths: Sequence[int]) -> list[bytes]:
    requests, start = [], 0
    for length in lengths:
        requests.append(content[start : start + length])
        start += length
    return requests


def main() -> None:
    """Read the plan, run it, say what became of it."""
    plan: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    requests = _cut(sys.stdin.buffer.read(), plan["lengths"])
    os.sched_setaffinity(0, {plan["cpu"]})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sender = Sender((plan["host"], plan["port"]), requests, plan["times_s"], grace_s=plan["grace_s"])
    gc.disable()  # there is little garbage, and much that it would look at
    cpu_s = time.process_time()
    sender.run()
    result = {
        "outcomes": sender.outcomes,
        "failures": sender.failures,
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.monotonic() - sender.started_s,
        "started_s": sender.started_s,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
