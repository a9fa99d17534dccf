"""Ends the wait for a server that is up and does not answer."""

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

from bridge.timing import Timing

log = structlog.get_logger()


class Watchdog:
    """Closes the connection to a server that has not answered a transaction in time.

    The driver waits without a limit, and a server that stands still does not apply its own limits.
    The waiting thread gets the error of any lost connection.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._current: tuple[float, Connection] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread at its next poll."""
        self._stopping.set()

    @contextmanager
    def over(self, conn: Connection) -> Iterator[None]:
        """Apply the limit to a transaction, for as long as the context lasts."""
        self._current = (time.monotonic(), conn)
        try:
            yield
        finally:
            self._current = None

    def _run(self) -> None:
        limit_s = self._timing.transaction_limit_s
        while not self._stopping.wait(self._timing.watchdog_poll_s):
            current = self._current
            if current is not None and time.monotonic() - current[0] > limit_s:
                log.warning("store.stalled", seconds=limit_s)
                _shut_down(current[1])


def _shut_down(conn: Connection) -> None:
    """Shut down the socket under a connection; the transaction may have ended meanwhile."""
    with suppress(Exception):
        raw: Any = conn.connection.driver_connection
        with socket.socket(fileno=os.dup(raw.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)
