"""Connections to the two databases, and the schema they must have."""

from __future__ import annotations

import shutil
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from bridge.errors import BridgeError


class WrongSchema(BridgeError):
    """The database's schema is not this version's: run `aha-bridge migrate`."""


def url_of(text: str) -> URL:
    """Read a database URL; PostgreSQL is always spoken to through psycopg 3."""
    url = make_url(text)
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url


def connect(url: URL, *, begin: str = "BEGIN") -> Engine:
    """Make an engine; `begin` is how SQLite transactions start (BEGIN IMMEDIATE for writing)."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"check_same_thread": False})
    _prepare_sqlite(engine, begin)
    return engine


def _prepare_sqlite(engine: Engine, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # transactions are begun below
        cursor = raw.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "temp_store=MEMORY",
            "cache_size=-16000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(conn: object) -> None:
        conn.connection.dbapi_connection.execute(begin)  # type: ignore[attr-defined]  # sqlite3's


def _alembic(engine: Engine) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    return config


def latest() -> str:
    """Return the revision of the schema this version needs."""
    scripts = Path(__file__).parent / "migrations"
    return ScriptDirectory(str(scripts)).get_current_head() or ""


def revision(engine: Engine) -> str:
    """Return the revision of the schema a database has, "" for an empty one."""
    with engine.connect() as conn:
        return MigrationContext.configure(conn).get_current_revision() or ""


def migrate(engine: Engine) -> tuple[str, str]:
    """Bring the schema up to date; returns the revisions before and after.

    A SQLite file that has data is copied beside itself first.
    """
    before = revision(engine)
    if before == latest():
        return before, before
    if before and engine.dialect.name == "sqlite":
        _copy(engine, before)
    command.upgrade(_alembic(engine), "head")
    return before, revision(engine)


def _copy(engine: Engine, before: str) -> None:
    """Keep the file as it was; `VACUUM INTO` would rewrite it, and it must be exactly as before."""
    path = Path(str(engine.url.database))
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(path, path.with_name(f"{path.name}.before-{before}"))


def require_schema(engine: Engine) -> None:
    """Raise `WrongSchema` unless the database has exactly this version's schema."""
    found, needed = revision(engine), latest()
    if found == needed:
        return
    if not found and inspect(engine).get_table_names():
        raise WrongSchema("this database belongs to something else: it has tables but no version")
    raise WrongSchema(
        f"the database's schema is {found or 'empty'}, this version needs {needed}: "
        "run `aha-bridge migrate`"
    )
