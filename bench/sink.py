"""A destination: answers every POST with 200, at once or after a time, and remembers which came.

    python bench/sink.py 9000 --delay 20        (ms)

GET /count says how many came, when (by the monotonic clock) the first and the last did, and what
the sink cost; GET /numbers lists them, by the timestamps in their bodies; GET /reset forgets.
"""

from __future__ import annotations

import argparse
import heapq
import re
import select
import socket
import time
from dataclasses import dataclass, field

import orjson
from bodies import FIRST_INSTANT

_STAMP = re.compile(rb'"timestamp": ?(\d{13})')
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(kw_only=True)
class _Seen:
    numbers: list[int] = field(default_factory=list)
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    cpu: float = field(default_factory=time.process_time)


class Sink:
    """Many connections, one thread."""

    def __init__(self, port: int, delay: float) -> None:
        self._delay = delay
        self._door = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._poll = select.epoll()
        self._poll.register(self._door, select.EPOLLIN)
        self._lines: dict[int, socket.socket] = {}
        self._read: dict[int, bytes] = {}
        #: Answers that are not due yet: when, and on which connection.
        self._due: list[tuple[float, int]] = []
        self._seen = _Seen()

    def run(self) -> None:
        """Answer until somebody ends the process."""
        while True:
            for number, _ in self._poll.poll(self._patience()):
                if number == self._door.fileno():
                    self._greet()
                else:
                    self._hear(number)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._answer(heapq.heappop(self._due)[1], _OK)

    def _patience(self) -> float:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1

    def _greet(self) -> None:
        line, _ = self._door.accept()
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines[line.fileno()] = line
        self._read[line.fileno()] = b""
        self._poll.register(line.fileno(), select.EPOLLIN)

    def _hear(self, number: int) -> None:
        try:
            came = self._lines[number].recv(262_144)
        except OSError:
            came = b""
        if not came:
            self._lines.pop(number).close()
            del self._read[number]
            return
        read = self._read[number] + came
        head, whole, body = read.partition(b"\r\n\r\n")
        if not whole or len(body) < _length(head):
            self._read[number] = read
            return
        self._read[number] = b""
        self._take(number, head, body)

    def _take(self, number: int, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET "):
            self._answer(number, self._tell(head.split(b" ", 2)[1]))
            return
        now, seen = time.monotonic(), self._seen
        seen.first = seen.first or now
        seen.last = now
        seen.count += 1
        stamp = _STAMP.search(body)
        if stamp:
            seen.numbers.append(int(stamp[1]) - FIRST_INSTANT)
        if self._delay:
            heapq.heappush(self._due, (now + self._delay, number))
        else:
            self._answer(number, _OK)

    def _answer(self, number: int, answer: bytes) -> None:
        line = self._lines.get(number)
        if line is not None:
            line.setblocking(True)  # long only for the one who asks for numbers
            line.sendall(answer)
            line.setblocking(False)

    def _tell(self, path: bytes) -> bytes:
        seen = self._seen
        told: object = {
            "count": seen.count,
            "first": seen.first,
            "last": seen.last,
            "now": time.monotonic(),
            "cpu": time.process_time() - seen.cpu,
        }
        if path == b"/numbers":
            told = seen.numbers
        if path == b"/reset":
            self._seen = _Seen()
        body = orjson.dumps(told)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _length(head: bytes) -> int:
    _, found, after = head.lower().partition(b"content-length:")
    return int(after.split(b"\r\n", 1)[0]) if found else 0


def main() -> None:
    """Read the port and the delay from the arguments."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("port", type=int)
    options.add_argument("--delay", type=float, default=0, help="in ms")
    given = options.parse_args()
    Sink(given.port, given.delay / 1000).run()


if __name__ == "__main__":
    main()
