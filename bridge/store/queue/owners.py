"""Owners: the processes that lease lanes, and which of them are certainly dead.

A process holds a lock on a file of its own for as long as it lives: the kernel frees it, however
the process ends. On PostgreSQL its session holds an advisory lock, too, which the server frees
when the session ends. Every second a process that leases lanes checks the others. A process whose
file is not locked is dead, and its lanes are free at once. A process on another machine, or with
another folder, has no file here; only its session can be checked. When the session is gone, the
process may live on and still be sending, so its lanes are free once the longest send is over.
"""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from contextlib import suppress
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, delete, func, literal, select, update

from bridge.store import schema as t
from bridge.store.database.clocks import boot
from bridge.store.database.files import make_folder, private_opener
from bridge.store.database.statements import Prepared, upsert
from bridge.store.queue.destinations import spare_probe

log = structlog.get_logger()

_SUFFIX = ".lock"


class Fate(Enum):
    """Whether another process lives, as far as this one can find out."""

    LIVES = "lives"
    DEAD = "dead"
    #: It has no file here, or its file cannot be locked for another reason.
    UNKNOWN = "unknown"


class LockFile:
    """A file that a process keeps locked for as long as it lives; it contains the boot's id."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _OPEN.add(self)

    @classmethod
    def make(cls, path: Path) -> LockFile:
        """Make and lock a file; raises `OSError` when that cannot be done or another holds it."""
        make_folder(path.parent)
        while True:
            made = cls(path, private_opener(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
            made._lock()
            if made._is_there():  # no process deleted it before it was locked
                os.ftruncate(made._descriptor, 0)
                os.write(made._descriptor, boot().encode())
                return made
            made.close()

    @classmethod
    def check(cls, path: Path, *, anywhere: bool) -> tuple[Fate, LockFile | None]:
        """Find out whether a file's process lives; the file of a dead one is returned, locked.

        With `anywhere`, a file that was made on another boot counts, too.
        """
        try:
            found = cls(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return Fate.UNKNOWN, None
        try:
            found._lock()
        except BlockingIOError:
            return Fate.LIVES, None
        except OSError:
            return Fate.UNKNOWN, None
        if not anywhere and os.pread(found._descriptor, 64, 0) != boot().encode():
            found.close()
            return Fate.UNKNOWN, None
        return Fate.DEAD, found

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError(error.errno, error.strerror) from error
            raise

    def _is_there(self) -> bool:
        with suppress(FileNotFoundError):
            return self.path.stat().st_ino == os.fstat(self._descriptor).st_ino
        return False

    def clear(self) -> None:
        """Delete the file and let go of it."""
        with suppress(OSError):
            if self._is_there():
                self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the lock; the file stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


_OPEN: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _close_after_fork() -> None:
    """Let a forked child hold none of its parent's locks, which would outlive the parent."""
    for file in list(_OPEN):
        file.close()


os.register_at_fork(after_in_child=_close_after_fork)


class Owner:
    """This process as an owner of lanes. Not thread-safe: the store's writer alone uses it."""

    def __init__(self, process: str, folder: Path | None, *, poll_s: float = 1.0) -> None:
        #: The name under which it leases lanes.
        self.name = process
        self._folder = folder
        #: How often this process checks the others.
        self._poll_s = poll_s
        self._file: LockFile | None = None
        #: The connection on which it announced that it leases lanes.
        self._enlisted: Connection | None = None
        self._enlisting: Connection | None = None
        self._locked = False
        #: Whether this process is known as an owner.
        self.is_known = False
        self._again_at = 0.0
        #: The files of dead processes, until their lanes are free for good.
        self._dead: list[LockFile] = []

    def is_due(self, conn: Connection | None, instant: float) -> bool:
        """Whether to `sweep` before lanes are leased; `instant` is in seconds."""
        return conn is None or conn is not self._enlisted or instant >= self._again_at

    def is_enlisted(self, conn: Connection | None) -> bool:
        """Whether lanes may be leased on a connection."""
        return conn is not None and conn is self._enlisted

    def sweep(self, conn: Connection, now: int) -> None:
        """Announce this process, and free the lanes of dead ones; then call `finish_sweep`."""
        self._let_go()
        self._enlist(conn, now)
        strays = self._strays()
        for row in _OTHERS.rows(conn, {"name": self.name}):
            if (stray := strays.pop(row.name, None)) is not None:
                stray.close()
            self._judge(conn, now, row)
        self._dead.extend(strays.values())

    def finish_sweep(self, conn: Connection | None, instant: float) -> None:
        """Delete the files of dead processes after a `sweep` that was committed."""
        self.is_known = True
        self._enlisted = self._enlisting if self._enlisting is conn else None
        self._again_at = instant + self._poll_s
        for file in self._dead:
            file.clear()
        self._dead.clear()

    def leave(self, conn: Connection) -> bool:
        """Announce that this process leases no more lanes; False while it still has any."""
        if _LEASED.first(conn, {"owner": self.name}) is not None:
            return False
        conn.execute(delete(t.processes).where(t.processes.c.name == self.name))
        return True

    def close(self, *, left: bool) -> None:
        """Let go of the lock. Unless the process `left`, the file stays, as that of a dead one."""
        self._let_go()
        if self._file is not None:
            if left:
                self._file.clear()
            else:
                self._file.close()
        self._file = None

    def _enlist(self, conn: Connection, now: int) -> None:
        """Lock the file and the session, and make this process known."""
        self._lock_file()
        if conn is not self._enlisted:
            self._enlisting, self._locked = conn, conn.dialect.name == "sqlite"
            rows = upsert(conn, t.processes).values(name=self.name, lock=_key(self.name), at=now)
            changed = {"at": rows.excluded.at}
            conn.execute(rows.on_conflict_do_update(index_elements=["name"], set_=changed))
        if not self._locked:
            # An earlier session, of which the server has not noticed the end, may still hold the
            # lock: it is this process's all the same.
            self._locked = bool(conn.scalar(select(func.pg_try_advisory_lock(_key(self.name)))))

    def _lock_file(self) -> None:
        if self._file is not None or self._folder is None or self._enlisted is not None:
            return
        try:
            self._file = LockFile.make(self._path(self.name))
        except OSError as error:  # then others see only the session, and the end of a lease
            log.warning("owner.no_lock", detail=error.strerror or type(error).__name__)

    def _path(self, name: str) -> Path:
        assert self._folder is not None  # noqa: S101 - the callers checked it
        return self._folder / f"{name}{_SUFFIX}"

    def _judge(self, conn: Connection, now: int, row: Any) -> None:  # noqa: ANN401 - a row
        """Free the lanes of a process if it is dead, or if its session and its sends are over."""
        fate, file = Fate.UNKNOWN, None
        if self._folder is not None:
            embedded = conn.dialect.name == "sqlite"
            fate, file = LockFile.check(self._path(row.name), anywhere=embedded)
        if file is not None:
            self._dead.append(file)
        if fate is Fate.DEAD:
            self._free(conn, now, row.name, _ALL)
        elif fate is Fate.UNKNOWN and row.gone:
            self._free(conn, now, row.name, _OVER)
        else:
            return
        if _LEASED.first(conn, {"owner": row.name}) is None:
            p = t.processes.c  # unless the process announced itself again since
            conn.execute(delete(t.processes).where(p.name == row.name, p.at == row.at))

    def _free(self, conn: Connection, now: int, name: str, which: Prepared) -> None:
        lanes = which.rows(conn, {"owner": name, "now": now})
        if not lanes:
            return
        _FREE.run(conn, [{"b_lane": row.id} for row in lanes])
        for lane in lanes:
            spare_probe(conn, now, lane.destination, lane.id)
        log.warning("owner.dead", process=name, lanes=len(lanes))

    def _strays(self) -> dict[str, LockFile]:
        """Lock the files of dead processes, once; a process without a row has leased no lane."""
        if self.is_known or self._folder is None:
            return {}
        paths = [path for path in self._folder.glob(f"*{_SUFFIX}") if path.stem != self.name]
        looks = ((path.stem, LockFile.check(path, anywhere=True)[1]) for path in paths)
        return {name: file for name, file in looks if file is not None}

    def _let_go(self) -> None:
        for file in self._dead:
            file.close()
        self._dead.clear()


def _key(name: str) -> int:
    """Return the 64-bit key of a process's advisory lock."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)


def _gone(dialect: str) -> Any:  # noqa: ANN401 - a column
    """Return whether no session holds a process's lock; false on SQLite, which has no sessions."""
    if dialect == "sqlite":
        return literal(False)
    return func.pg_try_advisory_xact_lock_shared(t.processes.c.lock)


_OTHERS = Prepared(
    lambda dialect: (
        select(t.processes.c.name, t.processes.c.at, _gone(dialect).label("gone"))
        .where(t.processes.c.name != bindparam("name"))
        .order_by(t.processes.c.name)
    )
)
_OF = (t.lanes.c.owner == bindparam("owner"), t.lanes.c.next_at.is_not(None))
_LEASED = Prepared(select(t.lanes.c.id).where(*_OF, t.lanes.c.lease_until > 0).limit(1))
_LEASES = (
    select(t.lanes.c.id, t.lanes.c.destination)
    .where(*_OF, t.lanes.c.lease_until > 0)
    .order_by(t.lanes.c.id)
    # A lane that another transaction has locked is skipped: the next sweep tries it again.
    .with_for_update(skip_locked=True)
)
_ALL = Prepared(_LEASES)
#: Only lanes whose sends are over.
_OVER = Prepared(_LEASES.where(t.lanes.c.send_until <= bindparam("now")))
_FREE = Prepared(
    update(t.lanes).where(t.lanes.c.id == bindparam("b_lane")).values(lease_until=0, owner="")
)
