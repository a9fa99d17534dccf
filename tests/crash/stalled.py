"""Senders that stop in the middle of a body and keep their connections open."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress

from crash.processes import HOOKS
from crash.repeating import Repeating

#: The number of such connections to each receiving process.
EACH = 12
#: The part of a request that is sent; its body is announced as 4096 bytes.
_BEGINNING = (
    "POST /api/v1/webhooks/{token} HTTP/1.1\r\nHost: bridge\r\n"
    "Content-Type: application/json\r\nContent-Length: 4096\r\n\r\n"
    '{{"webhookEvent": "jira:issue_updated", '
)


class StalledSenders:
    """Connections to live tokens, replaced when the bridge closes them."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._connections: dict[int, list[socket.socket]] = {port: [] for port in ports}
        self._repeating = Repeating(0.5, self._refill)
        #: Connections that the bridge answered or closed, except by the death of its process.
        self.given_up = 0

    def start(self) -> None:
        """Connect, and replace closed connections from then on."""
        self._repeating.start()

    def stop(self) -> None:
        """Close all connections."""
        self._repeating.stop()
        for line in (line for lines in self._connections.values() for line in lines):
            line.close()

    def _refill(self) -> None:
        for number, (port, lines) in enumerate(self._connections.items()):
            kept = [line for line in lines if self._stays(line)]
            with suppress(OSError):  # no process listens at the moment
                while len(kept) < EACH:
                    kept.append(_stall(port, list(HOOKS.values())[number % len(HOOKS)]))
            self._connections[port] = kept

    def _stays(self, line: socket.socket) -> bool:
        """Whether the bridge still waits for the rest of the body."""
        try:
            line.recv(4096)
        except BlockingIOError:
            return True
        except OSError:  # the receiving process died
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
