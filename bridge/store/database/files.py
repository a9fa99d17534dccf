"""The files of an embedded database: nobody else's to read, and still the one that was opened."""

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

#: What a file and a folder of ours may be used for: by their owner, and by nobody else.
FILE_MODE = 0o600
FOLDER_MODE = 0o700
#: What SQLite, the bridge and its migrations put beside a database.
_BESIDE = ("-wal", "-shm", "-journal", "-turn", "-owners", "-owners/*.lock", ".before-*")
#: What the bridge keeps in the spool's folder.
_IN_SPOOL = ("*.spool", "*.refused", "*.damaged", "*.lock", "mappings-*.json")


class DatabaseGone(BridgeError):
    """The database file was deleted, or another one was put in its place."""


class DatabaseFile:
    """A database file, by which one connection knows whether it still writes to what is there."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        #: The device and inode of the file that was opened last.
        self._opened: tuple[int, int] | None = None

    def open(self) -> bool:
        """Note the file that is about to be opened, and tell whether it is another one.

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


def private(path: str, flags: int) -> int:
    """Open a file as `open` does by its `opener`, and make it for its owner alone."""
    return os.open(path, flags, FILE_MODE)


def make(path: Path) -> None:
    """Make an empty file for its owner alone, unless there is one."""
    with suppress(OSError):  # who opens it then, says why it cannot be made
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone, unless there is one; raises OSError."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def secure(database: Path | None, spool: Path) -> None:
    """Take the rights of others from everything that is there; warn where that cannot be done."""
    exposed = [path for path in _ours(database, spool) if not _tighten(path)]
    if exposed:
        log.warning("store.exposed", files=[str(path) for path in exposed])


def _ours(database: Path | None, spool: Path) -> Iterator[Path]:
    if database is not None:
        yield database
        yield from _beside(database)
    yield spool
    for name in _IN_SPOOL:
        yield from spool.glob(name)


def _beside(database: Path) -> Iterator[Path]:
    for ending in _BESIDE:
        yield from database.parent.glob(f"{escape(database.name)}{ending}")


def _tighten(path: Path) -> bool:
    """Take the rights of others from a file or folder; False when they keep them."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_ISVTX:  # such as /tmp: a folder of everybody's stays one
            return False
        if mode & ~FOLDER_MODE:
            path.chmod(mode & FOLDER_MODE)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
