"""A server that is there and does not answer: who waits for it is let go after a while."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from sqlalchemy import Connection

log = structlog.get_logger()

#: How long a transaction may take, in seconds: longer than it may wait for a lock.
STALLED = 15.0
#: How often is looked, in seconds.
LOOK = 1.0


class Watchdog:
    """Hangs up on a server that has not answered a transaction in time.

    The driver waits for ever, and the server's own limits do not help when it is the server that
    stands still. What hangs up looks like any lost connection to who waits.
    """

    def __init__(self) -> None:
        self._current: tuple[float, Connection] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    @contextmanager
    def over(self, conn: Connection) -> Iterator[None]:
        """Watch over a transaction."""
        self._current = (time.monotonic(), conn)
        try:
            yield
        finally:
            self._current = None

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            current = self._current
            if current is not None and time.monotonic() - current[0] > STALLED:
                log.warning("store.stalled", seconds=STALLED)
                _hang_up(current[1])


def _hang_up(conn: Connection) -> None:
    """Close the line under a connection; the transaction may be over by now, and it with it."""
    with suppress(Exception):
        raw: Any = conn.connection.driver_connection
        with socket.socket(fileno=os.dup(raw.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)
