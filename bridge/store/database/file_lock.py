"""Turns at a database file: who waits for its one lock is woken when it is free.

SQLite itself looks again after a while, and a longer while each time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Turns:
    """A lock on a file beside the database, for the processes of a bridge; "" is no database file.

    It only makes waiting shorter: what keeps writers apart is still the database's own lock.
    """

    def __init__(self, database: str) -> None:
        self._path = f"{database}-turn" if database else ""
        self._file = -1

    @contextmanager
    def mine(self) -> Iterator[None]:
        """Wait for the turn, and hold it for as long as the context lasts."""
        if self._file < 0 and self._path:
            with suppress(OSError):  # then it is waited for as SQLite does
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file < 0:
            yield
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
