"""The databases of a run, and their outages.

A SQLite file in the run's folder, a database of the run on an existing PostgreSQL server, or a
PostgreSQL server that belongs to the run and can be stopped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import create_engine

#: The URL of an existing server, on which a run creates its own database.
SERVER = os.environ.get("BRIDGE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


class Database(Protocol):
    """The operations on a database during a run."""

    kind: str
    url: str

    def away(self) -> contextlib.AbstractContextManager[None]:
        """Make it unreachable for the bridge inside the context."""
        ...

    def hit(self) -> None:
        """Make it unreachable for some seconds."""
        ...

    def throw_out(self) -> None:
        """End every session; clients may reconnect at once."""
        ...

    def close(self) -> None:
        """Remove the database."""
        ...


class SQLite:
    """A file; it is made unreachable by a lock."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bridge.db"
        self.url = f"sqlite:///{self.path}"

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Hold the lock inside the context; the bridge waits up to five seconds for it."""
        conn = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            conn.execute("BEGIN EXCLUSIVE")
            yield
            conn.execute("ROLLBACK")
        finally:
            conn.close()

    def hit(self) -> None:
        """Hold the lock for longer than the bridge waits."""
        with self.away():
            time.sleep(6)

    def throw_out(self) -> None:
        """Nothing: a file has no sessions."""

    def close(self) -> None:
        """Nothing: the folder goes with the run."""


class PostgreSQL:
    """A database of the run on an existing server."""

    kind = "postgresql"

    def __init__(self, server: str = SERVER, *, template: str = "template1") -> None:
        self._server = server
        self.name = f"bridge_crash_{os.getpid()}_{secrets.token_hex(4)}"
        with self._admin() as conn:
            conn.execute(f'CREATE DATABASE "{self.name}" TEMPLATE "{template}"')
        self.url = server.rpartition("/")[0] + "/" + self.name

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(self._server, autocommit=True)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections and end all sessions inside the context."""
        with self._admin() as conn:
            conn.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS false')
            self._throw_out(conn)
        try:
            yield
        finally:
            with self._admin() as conn:
                conn.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS true')

    def hit(self) -> None:
        """Refuse connections for two seconds."""
        with self.away():
            time.sleep(2)

    def throw_out(self) -> None:
        """End every session; clients may reconnect at once."""
        with self._admin() as conn:
            self._throw_out(conn)

    def _throw_out(self, conn: psycopg.Connection) -> None:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (self.name,),
        )

    def close(self) -> None:
        """Drop the database."""
        with self._admin() as conn:
            conn.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


class Cluster:
    """A PostgreSQL server that belongs to the run."""

    kind = "postgresql"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cluster"
        self._port = free_port()
        self._folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
            for parent in (folder, *folder.parents):
                if parent.stat().st_mode & 0o001 == 0:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        self.start()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, tool: str, *arguments: str) -> None:
        found = tools()
        assert found is not None
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, str(found / tool), *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            timeout=90,
        )

    def start(self) -> None:
        """Start the server; returns when it accepts connections."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop the server as a power failure does."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server inside the context."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def hit(self) -> None:
        """Stop the server for two seconds."""
        with self.away():
            time.sleep(2)

    def freeze(self, seconds: float) -> None:
        """Suspend the server: it accepts connections, and does not answer."""
        pids = self._pids()
        _signal(pids, signal.SIGSTOP)
        time.sleep(seconds)
        _signal(pids, signal.SIGCONT)

    def _pids(self) -> list[int]:
        with contextlib.suppress(OSError):
            parent = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            return [parent, *map(int, children)]
        return []

    def throw_out(self) -> None:
        """End every session; clients may reconnect at once."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
            )

    def close(self) -> None:
        """Stop the server; its files are removed with the run's folder."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def tools() -> Path | None:
    """Return the folder of the newest installed `initdb` and `pg_ctl`, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


def reachable(server: str = SERVER) -> bool:
    """Whether a PostgreSQL server accepts connections at the URL."""
    try:
        psycopg.connect(server, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def must_have_postgresql() -> bool:
    """Whether a missing server is a failure, as in CI, which provides one."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def free_port() -> int:
    """Return an unused port below the range of outgoing connections."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return port


def engine(database: Database):
    """Return an engine for the checks."""
    url = database.url.replace("postgresql://", "postgresql+psycopg://")
    return create_engine(url, pool_pre_ping=True)
