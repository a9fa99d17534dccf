"""The few words in which the two databases differ."""

from __future__ import annotations

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger

Insert = sqlite.Insert | postgresql.Insert


class now_ms(FunctionElement[int]):
    """The database's clock, in ms since the epoch."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite_now(_element: now_ms, _compiler: SQLCompiler, **_: object) -> str:
    # unixepoch('subsec') would say it plainly, but only from SQLite 3.42 on.
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql_now(_element: now_ms, _compiler: SQLCompiler, **_: object) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def upsert(conn: Connection, table: Table) -> Insert:
    """Return an INSERT of the connection's dialect, which knows ON CONFLICT."""
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def insert_or_ignore(conn: Connection, table: Table) -> Insert:
    """Return an INSERT that leaves rows alone whose key is taken."""
    return upsert(conn, table).on_conflict_do_nothing()
