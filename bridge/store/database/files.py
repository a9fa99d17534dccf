"""The files of the store: readable by their owner alone, and not replaced while open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from glob import escape
from pathlib import Path

import structlog

from bridge.errors import BridgeError

log = structlog.get_logger()

#: The modes of the files and folders that the bridge makes: only their owner may use them.
FILE_MODE = 0o600
FOLDER_MODE = 0o700
#: What SQLite, the bridge and its migrations put beside a database.
_BESIDE = ("-wal", "-shm", "-journal", "-turn", "-owners", "-owners/*.lock", ".before-*")
#: What the bridge keeps in the spool's folder.
_IN_SPOOL = ("*.spool", "*.refused", "*.damaged", "*.lock", "mappings-*.json")


class DatabaseGone(BridgeError):
    """The database file was deleted, or another one was put in its place."""


class DatabaseFile:
    """A database file as one connection opened it; recognizes another file in its place."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        #: The device and inode of the file that was opened last.
        self._opened: tuple[int, int] | None = None

    def open(self) -> bool:
        """Note the file that is about to be opened; return whether it is another than before.

        Raises `DatabaseGone` when there is none.
        """
        found, before = _identity(self._path), self._opened
        if found is None:
            raise DatabaseGone(
                f"the database file {self._path} is gone: put it back, or make a new one with"
                " `aha-bridge migrate`"
            )
        self._opened = found
        return before is not None and before != found

    def require(self) -> None:
        """Raise `DatabaseGone` unless the file that was opened is still there."""
        if _identity(self._path) != self._opened:
            raise DatabaseGone(f"the database file {self._path} was deleted or replaced")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def private_opener(path: str, flags: int) -> int:
    """Open a file for its owner alone. To be the `opener` of `open`."""
    return os.open(path, flags, FILE_MODE)


def make_file(path: Path) -> None:
    """Make an empty file for its owner alone, unless there is one."""
    with suppress(OSError):  # opening the file reports the error
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone, unless there is one; raises OSError."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def secure(database: Path | None, spool: Path) -> None:
    """Restrict all files of a store to their owner; log those for which that is impossible."""
    exposed = [path for path in _files(database, spool) if not _restrict(path)]
    if exposed:
        log.warning("store.exposed", files=[str(path) for path in exposed])


def _files(database: Path | None, spool: Path) -> Iterator[Path]:
    if database is not None:
        yield database
        yield from _beside(database)
    yield spool
    for name in _IN_SPOOL:
        yield from spool.glob(name)


def _beside(database: Path) -> Iterator[Path]:
    for ending in _BESIDE:
        yield from database.parent.glob(f"{escape(database.name)}{ending}")


def _restrict(path: Path) -> bool:
    """Restrict a file or folder to its owner; False when that is impossible."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_ISVTX:  # such as /tmp: a folder for all users stays one
            return False
        if mode & ~FOLDER_MODE:
            path.chmod(mode & FOLDER_MODE)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
