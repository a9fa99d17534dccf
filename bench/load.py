"""A source of webhooks: a process of its own that takes little of the machine it measures.

    python bench/load.py 127.0.0.1:8080/api/v1/webhooks/TOKEN --seconds 5 --connections 16
    python bench/load.py ADDRESS... --rate 500 --seconds 5        (an open loop)

In a closed loop each connection sends its next event when its last was answered. In an open loop
events are due at a fixed rate whatever is answered; one that finds no free connection waits, and
its wait counts as time to its answer.
"""

from __future__ import annotations

import argparse
import select
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import bodies
import orjson

#: How long answers are waited for at the end, in seconds.
PATIENCE = 30
#: Connections of an open loop at most.
MOST = 256


@dataclass(kw_only=True)
class Plan:
    """What to send, and where to."""

    #: HOST:PORT/PATH, one or more; connections are dealt out among them.
    addresses: list[str]
    connections: int = 16
    #: At most so long, in seconds.
    seconds: float = 5
    #: At most so many events; 0: as many as can be.
    count: int = 0
    #: The number of the first event.
    first: int = 0
    #: How many issues the events are about.
    issues: int = 997
    #: Events a second; 0: a closed loop.
    rate: float = 0
    #: A file for the numbers of the events that were answered 200.
    told: str = ""


class _Line:
    """One connection."""

    def __init__(self, address: str) -> None:
        place, _, path = address.partition("/")
        host, _, port = place.rpartition(":")
        self._place = (host, int(port))
        self._head = (
            f"POST /{path} HTTP/1.1\r\nHost: {place}\r\n"
            "Content-Type: application/json; charset=UTF-8\r\n"
            "User-Agent: Atlassian Webhook HTTP Client\r\n"
        ).encode()
        self.socket = self._open()
        #: When its event was due, and which it is; None: it is free.
        self.due = 0.0
        self.number: int | None = None
        self._unsent = b""
        self._answer = b""

    def _open(self) -> socket.socket:
        made = socket.create_connection(self._place, timeout=10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        return made

    def send(self, number: int, due: float, body: bytes) -> bool:
        """Begin a request; True when all of it is on its way."""
        self.number, self.due, self._answer = number, due, b""
        self._unsent = b"%bX-Atlassian-Webhook-Identifier: %d\r\nContent-Length: %d\r\n\r\n%b" % (
            self._head,
            number,
            len(body),
            body,
        )
        return self.push()

    def push(self) -> bool:
        """Send what is left; True when nothing is."""
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        self._unsent = self._unsent[sent:]
        return not self._unsent

    def read(self) -> int:
        """Read what came: the status once the answer is whole, 0 before; raises OSError."""
        came = self.socket.recv(65536)
        if not came:
            raise ConnectionResetError
        self._answer += came
        head, found, rest = self._answer.partition(b"\r\n\r\n")
        if not found or len(rest) < _length(head):
            return 0
        return int(head[9:12])

    def reopen(self) -> None:
        """Begin again after the other side hung up."""
        self.socket.close()
        self.number, self._unsent = None, b""
        self.socket = self._open()


def _length(head: bytes) -> int:
    _, found, after = head.lower().partition(b"content-length:")
    return int(after.split(b"\r\n", 1)[0]) if found else 0


@dataclass(kw_only=True)
class _Account:
    codes: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    broken: int = 0
    sent: int = 0
    #: When the last answer came.
    last: float = 0.0
    #: Second by second: how many were answered with what.
    seconds: dict[int, Counter[int]] = field(default_factory=dict)


class Load:
    """Sends by a plan and counts what is answered."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bodies = bodies.Bodies(plan.issues)
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._free: deque[_Line] = deque()
        self._waiting: deque[float] = deque()
        self._account = _Account()
        self._begun = 0.0
        #: Nothing more is sent; only answers are waited for.
        self._over = False

    def run(self) -> dict[str, object]:
        """Send everything; returns the account."""
        for number in range(self._plan.connections):
            self._add(number)
        cpu = time.process_time()
        self._begun = time.monotonic()
        end = self._begun + self._plan.seconds
        while time.monotonic() < end and not self._done():
            self._feed()
            self._turn(0.002 if self._plan.rate else 0.1)
        self._over = True
        patience = time.monotonic() + PATIENCE
        while len(self._free) < len(self._lines) and time.monotonic() < patience:
            self._turn(0.1)
        return self._told(time.process_time() - cpu)

    def _add(self, number: int) -> None:
        line = _Line(self._plan.addresses[number % len(self._plan.addresses)])
        self._register(line)
        self._free.append(line)

    def _register(self, line: _Line) -> None:
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)

    def _done(self) -> bool:
        return self._over or 0 < self._plan.count <= self._account.sent

    def _feed(self) -> None:
        """Send what is due on free connections."""
        if self._plan.rate:
            self._fall_due()
        while self._free and not self._done():
            if self._plan.rate and not self._waiting:
                return
            due = self._waiting.popleft() if self._plan.rate else time.monotonic()
            line = self._free.popleft()
            number = self._plan.first + self._account.sent
            self._account.sent += 1
            if not line.send(number, due, self._bodies.make(number)):
                self._poll.modify(line.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _fall_due(self) -> None:
        planned = int((time.monotonic() - self._begun) * self._plan.rate)
        for number in range(self._account.sent + len(self._waiting), planned):
            self._waiting.append(self._begun + number / self._plan.rate)
        while len(self._waiting) > len(self._free) and len(self._lines) < MOST:
            self._add(len(self._lines))

    def _turn(self, patience: float) -> None:
        for number, happened in self._poll.poll(patience):
            line = self._lines[number]
            if happened & select.EPOLLOUT and line.push():
                self._poll.modify(number, select.EPOLLIN)
            if happened & ~select.EPOLLOUT:
                self._hear(line)

    def _hear(self, line: _Line) -> None:
        number = line.number
        try:
            status = line.read()
        except OSError:
            self._account.broken += number is not None
            del self._lines[line.socket.fileno()]
            line.reopen()
            self._register(line)
            self._free.append(line)
            return
        if status and number is not None:
            self._count(line, number, status)
            line.number = None
            self._free.append(line)
            self._feed()

    def _count(self, line: _Line, number: int, status: int) -> None:
        now = time.monotonic()
        found = self._account
        found.codes[status] += 1
        found.waits.append(now - line.due)
        found.last = now
        found.seconds.setdefault(int(now - self._begun), Counter())[status] += 1
        if status == 200:
            found.told.append(number)

    def _told(self, cpu: float) -> dict[str, object]:
        found, waits = self._account, sorted(self._account.waits)
        elapsed = max(found.last - self._begun, 1e-9)
        if self._plan.told:
            Path(self._plan.told).write_bytes(orjson.dumps(found.told))
        return {
            "sent": found.sent,
            "accepted": found.codes[200],
            "rate": found.codes[200] / elapsed,
            "elapsed": elapsed,
            "codes": {str(code): count for code, count in found.codes.items()},
            "unanswered": found.sent - len(waits),
            "late": len(self._waiting),
            "p50": _share(waits, 0.5),
            "p99": _share(waits, 0.99),
            "max": _share(waits, 1),
            "cpu": cpu / elapsed,
            "seconds": [
                {str(code): count for code, count in counter.items()}
                for _, counter in sorted(found.seconds.items())
            ],
        }


def _share(waits: list[float], share: float) -> float:
    """Return a percentile, in ms."""
    return waits[min(len(waits) - 1, int(len(waits) * share))] * 1000 if waits else 0.0


def main() -> None:
    """Read the plan from the arguments."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("addresses", nargs="+")
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--count", type=int, default=0)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--issues", type=int, default=997)
    options.add_argument("--rate", type=float, default=0)
    options.add_argument("--told", default="")
    plan = Plan(**vars(options.parse_args()))
    sys.stdout.write(orjson.dumps(Load(plan).run()).decode() + "\n")


if __name__ == "__main__":
    main()
