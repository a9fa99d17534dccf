"""A lock beside a database file, which wakes a waiting process as soon as the file is free.

SQLite's own wait polls the database, at growing intervals.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bridge.store.database.files import private_opener


class FileLock:
    """A lock on a file beside the database, for the processes of a bridge; "" is no database file.

    It only shortens the wait: SQLite's own lock is what keeps writers apart.
    """

    def __init__(self, database: str) -> None:
        self._path = f"{database}-turn" if database else ""
        self._file = -1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, and hold it for as long as the context lasts."""
        if self._file < 0 and self._path:
            with suppress(OSError):  # without this lock the transaction waits as SQLite does
                self._file = private_opener(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        if self._file < 0:
            yield
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
