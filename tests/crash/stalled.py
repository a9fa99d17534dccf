"""Senders that stop in the middle of a body and keep their connections open."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

from crash.processes import HOOKS

#: How many such connections there are to each door.
EACH = 12
#: What is said of a body of 4096 bytes before nothing more comes.
_BEGINNING = (
    "POST /api/v1/webhooks/{token} HTTP/1.1\r\nHost: bridge\r\n"
    "Content-Type: application/json\r\nContent-Length: 4096\r\n\r\n"
    '{{"webhookEvent": "jira:issue_updated", '
)


class StalledSenders:
    """Connections to live tokens, made again when the bridge gives them up."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        #: Those the bridge gave up, by an answer or by hanging up; not those whose process died
        #: with them, as far as that can be told apart.
        self.given_up = 0

    def start(self) -> None:
        """Connect, and see to it that as many connections stay."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        open_lines: dict[int, list[socket.socket]] = {port: [] for port in self._ports}
        while not self._stopping.wait(0.5):
            for number, (port, lines) in enumerate(open_lines.items()):
                kept = [line for line in lines if self._stays(line)]
                with suppress(OSError):  # nobody listens just now
                    while len(kept) < EACH:
                        kept.append(_stall(port, list(HOOKS.values())[number % len(HOOKS)]))
                open_lines[port] = kept
        for line in (line for lines in open_lines.values() for line in lines):
            line.close()

    def _stays(self, line: socket.socket) -> bool:
        """Tell whether the other side still waits for the rest."""
        try:
            line.recv(4096)
        except BlockingIOError:
            return True
        except OSError:  # its process is gone
            line.close()
            return False
        self.given_up += 1
        line.close()
        return False


def _stall(port: int, token: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=2)
    line.sendall(_BEGINNING.format(token=token).encode())
    line.setblocking(False)
    return line
