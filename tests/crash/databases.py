"""The databases the bridge is given, and what is done to them while it runs.

A SQLite file in a folder of the run; a database of the run on a PostgreSQL server that is there;
or a PostgreSQL server of the run's own, which can be stopped.
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

#: Where a server may be found that the run can make a database of its own on.
SERVER = os.environ.get("BRIDGE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


class Database(Protocol):
    """What the harness can do to a database."""

    kind: str
    url: str

    def away(self) -> contextlib.AbstractContextManager[None]:
        """Keep the bridge from it for as long as the context lasts."""
        ...

    def hit(self) -> None:
        """Do something bad to it that passes by itself."""
        ...

    def throw_out(self) -> None:
        """End every session; they may come back at once."""
        ...

    def close(self) -> None:
        """Let go of it and of all that is in it."""
        ...


class SQLite:
    """A file; while it is away, another process holds the lock on it."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bridge.db"
        self.url = f"sqlite:///{self.path}"

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Hold the lock; the bridge waits five seconds for it before it gives up."""
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
    """A database of the run's own on a server that is there."""

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
        """Let nobody in, and throw out who is."""
        with self._admin() as conn:
            conn.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS false')
            self._throw_out(conn)
        try:
            yield
        finally:
            with self._admin() as conn:
                conn.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS true')

    def hit(self) -> None:
        """Let nobody in for two seconds."""
        with self.away():
            time.sleep(2)

    def throw_out(self) -> None:
        """End every session; they may come back at once."""
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
    """A PostgreSQL server of the run's own."""

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
        """Start the server; returns when it takes connections."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop the server as if the power went."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Stop it, and start it again."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def hit(self) -> None:
        """Break it for two seconds."""
        with self.away():
            time.sleep(2)

    def freeze(self, seconds: float) -> None:
        """Let it stand still: it is there, and answers nobody."""
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
        """End every session; they may come back at once."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
            )

    def close(self) -> None:
        """Stop the server; its files go with the run."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def tools() -> Path | None:
    """Find the newest `initdb` and `pg_ctl` of this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


def reachable(server: str = SERVER) -> bool:
    """Tell whether there is a PostgreSQL server to make a database on."""
    try:
        psycopg.connect(server, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def must_have_postgresql() -> bool:
    """Tell whether a missing server is a failure: CI brings one along."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def free_port() -> int:
    """Find a port that nobody listens on, below those that connections are given."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return port


def engine(database: Database):
    """Connect as an onlooker."""
    url = database.url.replace("postgresql://", "postgresql+psycopg://")
    return create_engine(url, pool_pre_ping=True)
