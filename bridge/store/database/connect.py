"""Connections to the two databases, and the schema they must have."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from bridge.errors import BridgeError
from bridge.store.database.files import DatabaseFile, DatabaseGone, make
from bridge.store.database.statements import Prepared

MIGRATIONS = Path(__file__).parents[1] / "migrations"


class WrongSchema(BridgeError):
    """The database's schema is not this version's: run `aha-bridge migrate`."""


class ForeignDatabase(WrongSchema):
    """This database belongs to something else."""


def url_of(text: str) -> URL:
    """Read a database URL; PostgreSQL is always spoken to through psycopg 3."""
    url = make_url(text)
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url


#: A PostgreSQL that does not answer must be noticed while senders still wait; the URL may say
#: otherwise. The spool takes over then.
_PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_OPTIONS = "-c lock_timeout=10s"
#: The writer always asks for a few rows by their keys. A plan made while a table was small, and
#: kept, would read all of it when it has grown.
_BY_KEY = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"


def connect(url: URL, *, writing: bool = False) -> Engine:
    """Make an engine; of a file, one for `writing` takes the lock at the start."""
    if url.get_backend_name() != "sqlite":
        if find_spec("psycopg") is None:
            raise BridgeError("PostgreSQL needs its driver: pip install 'aha-bridge[postgres]'")
        given: dict[str, object] = {
            name: value for name, value in _PATIENCE.items() if name not in url.query
        }
        options = [_OPTIONS, _BY_KEY if writing else "", url.query.get("options", "")]
        given["options"] = " ".join(filter(None, map(str, options)))  # of two the last one counts
        return create_engine(url, pool_pre_ping=True, connect_args=given)
    engine = create_engine(url, connect_args={"check_same_thread": False})
    path = file_of(url)
    if path is not None:
        _only_what_is_there(engine, path)
    _prepare_sqlite(engine, "BEGIN IMMEDIATE" if writing else "BEGIN")
    return engine


def file_of(url: URL) -> Path | None:
    """Return the path of a SQLite file; None for a server, or for a database in memory."""
    name = url.database or ""
    embedded = url.get_backend_name() == "sqlite"
    return Path(name) if embedded and name not in ("", ":memory:") else None


def _only_what_is_there(engine: Engine, path: Path) -> None:
    """Open the file that is there, and make none: `migrate` does.

    A connection out of the pool is to that file, too, and not to one that was in its place before.
    """

    @event.listens_for(engine, "do_connect")
    def _on_open(
        _dialect: object, _entry: object, given: list[object], named: dict[str, object]
    ) -> None:
        given[0] = f"file:{quote(str(path.absolute()))}?mode=rw"
        named["uri"] = True

    @event.listens_for(engine, "connect")
    def _on_connect(_raw: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = made = DatabaseFile(str(path))
        with suppress(DatabaseGone):
            made.open()

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
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "wal_autocheckpoint=8000",
            "temp_store=MEMORY",
            "cache_size=-4000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    beginning = Prepared(text(begin))

    @event.listens_for(engine, "begin")
    def _on_begin(conn: Connection) -> None:
        beginning.run(conn, {})  # a lock that is held by others is SQLAlchemy's error, as all are


def _alembic(engine: Engine, scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["engine"] = engine
    return config


def latest(scripts: Path = MIGRATIONS) -> str:
    """Return the revision of the schema this version needs."""
    return ScriptDirectory(str(scripts)).get_current_head() or ""


def revision(engine: Engine) -> str:
    """Return the revision of the schema a database has, "" for an empty one, or no file."""
    if _missing(engine):
        return ""
    with engine.connect() as conn:
        return MigrationContext.configure(conn).get_current_revision() or ""


def _missing(engine: Engine) -> bool:
    """Tell whether there is no database file where one could be."""
    path = file_of(engine.url)
    return path is not None and path.parent.is_dir() and not path.exists()


def migrate(engine: Engine, scripts: Path = MIGRATIONS) -> tuple[str, str]:
    """Bring the schema up to date; returns the revisions before and after.

    A SQLite file that has data is copied beside itself first. Raises `ForeignDatabase` rather
    than touch what is not ours.
    """
    path = file_of(engine.url)
    if path is not None:
        make(path)
    before = revision(engine)
    if before == latest(scripts):
        return before, before
    _require_ours(engine, before)
    if before and engine.dialect.name == "sqlite":
        _copy(engine, before)
    command.upgrade(_alembic(engine, scripts), "head")
    return before, revision(engine)


def _require_ours(engine: Engine, found: str) -> None:
    known = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    if found and found not in {script.revision for script in known}:
        raise ForeignDatabase(
            f"the database's schema is {found}, which this version does not know: it belongs to "
            "a newer version, or to something else"
        )
    if _missing(engine):
        return
    tables = sorted(set(inspect(engine).get_table_names()) - {"alembic_version"})
    if not found and tables:
        raise ForeignDatabase(
            f"this database belongs to something else: it has tables ({tables[0]}) but no version"
        )


def _copy(engine: Engine, before: str) -> None:
    """Keep the file as it was, with what is still in its log, whoever else has it open."""
    path = Path(str(engine.url.database))
    beside = path.with_name(f"{path.name}.before-{before}")
    make(beside)
    with engine.connect() as conn, closing(sqlite3.connect(beside)) as copy:
        conn.connection.dbapi_connection.backup(copy)  # type: ignore[union-attr]  # sqlite3's


def require_schema(engine: Engine) -> None:
    """Raise `WrongSchema` unless the database has exactly this version's schema."""
    found, needed = revision(engine), latest()
    if found == needed:
        return
    _require_ours(engine, found)
    raise WrongSchema(
        f"the database's schema is {found or 'empty'}, this version needs {needed}: "
        "run `aha-bridge migrate`"
    )
