"""Connections to the two databases."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from bridge.errors import BridgeError
from bridge.store.database.files import DatabaseFile, DatabaseGone
from bridge.store.database.statements import Prepared


def url_of(text: str) -> URL:
    """Read a database URL. The driver for PostgreSQL is always psycopg 3."""
    url = make_url(text)
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url


def connect(url: URL, *, writing: bool = False) -> Engine:
    """Make an engine; one for `writing` to a file takes the file's lock when it begins."""
    if url.get_backend_name() != "sqlite":
        return _postgresql(url, writing=writing)
    engine = create_engine(url, connect_args={"check_same_thread": False})
    path = file_of(url)
    if path is not None:
        _require_file(engine, path)
    _prepare_sqlite(engine, "BEGIN IMMEDIATE" if writing else "BEGIN")
    return engine


def file_of(url: URL) -> Path | None:
    """Return the path of a SQLite file; None for a server, or for a database in memory."""
    name = url.database or ""
    embedded = url.get_backend_name() == "sqlite"
    return Path(name) if embedded and name not in ("", ":memory:") else None


def missing(engine: Engine) -> bool:
    """Whether there is no database file where one could be."""
    path = file_of(engine.url)
    return path is not None and path.parent.is_dir() and not path.exists()


# PostgreSQL

#: How soon an unresponsive server is given up, unless the URL has other values: while senders still
#: wait for an answer, so that the spool can take over. `tcp_user_timeout` is in ms, the others are
#: in seconds or counts.
_TIMEOUTS = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_OPTIONS = "-c lock_timeout=10s"
#: For the writer, which always reads a few rows by their keys. A plan that was made while a table
#: was small, and kept, would read the whole table once it has grown.
_BY_KEY = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"


def _postgresql(url: URL, *, writing: bool) -> Engine:
    if find_spec("psycopg") is None:
        raise BridgeError("PostgreSQL needs its driver: pip install 'aha-bridge[postgres]'")
    arguments: dict[str, object] = {
        name: value for name, value in _TIMEOUTS.items() if name not in url.query
    }
    options = [_OPTIONS, _BY_KEY if writing else "", url.query.get("options", "")]
    # Where an option occurs twice, the last one counts: the URL's.
    arguments["options"] = " ".join(filter(None, map(str, options)))
    return create_engine(url, pool_pre_ping=True, connect_args=arguments)


# SQLite

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "wal_autocheckpoint=8000",
    "temp_store=MEMORY",
    "cache_size=-4000",
)


def _require_file(engine: Engine, path: Path) -> None:
    """Open the file only if it exists; `migrate` makes it.

    A pooled connection is not used again once another file is in the place of its own.
    """

    @event.listens_for(engine, "do_connect")
    def _on_open(
        _dialect: object, _entry: object, given: list[object], named: dict[str, object]
    ) -> None:
        given[0] = f"file:{quote(str(path.absolute()))}?mode=rw"
        named["uri"] = True

    @event.listens_for(engine, "connect")
    def _on_connect(_raw: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = file = DatabaseFile(str(path))
        with suppress(DatabaseGone):
            file.open()

    @event.listens_for(engine, "checkout")
    def _on_checkout(_raw: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        try:
            entry.info["file"].require()
        except DatabaseGone as error:
            raise DisconnectionError(str(error)) from error


def _prepare_sqlite(engine: Engine, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # transactions are begun below
        cursor = raw.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    beginning = Prepared(text(begin))

    @event.listens_for(engine, "begin")
    def _on_begin(conn: Connection) -> None:
        beginning.run(conn, {})  # raises SQLAlchemy's errors, also for a locked file
