"""Copy everything from one database to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Table, func, insert, select, text

from bridge.errors import BridgeError
from bridge.store import schema as t
from bridge.store.database.connect import connect, url_of
from bridge.store.database.schema_version import migrate, require_schema

#: How many rows are read and written at a time.
PAGE = 500

#: Columns that hold only for the database they were written in: the base of a file's clock is added
#: to the clock of a machine, that of a server to the server's.
_RESET: Mapping[str, Mapping[str, object]] = {"clock": {"boot": "", "base": 0}}

#: Called with the name of a table, the rows copied so far, and the rows in all.
Progress = Callable[[str, int, int], None]


class NotEmpty(BridgeError):
    """The database to copy to already holds something."""


def copy_database(source_url: str, target_url: str, progress: Progress) -> dict[str, int]:
    """Copy every row of a stopped bridge into an empty database, in one transaction.

    The source stays as it is. The target's schema is made here; its rows become visible all at
    once. Returns how many rows of each table were copied.
    """
    source = connect(url_of(source_url))
    target = connect(url_of(target_url), writing=True)
    try:
        require_schema(source)
        migrate(target)
        with source.connect() as read, target.begin() as write:
            _require_empty(write)
            copied = {
                table.name: _copy_table(read, write, table, progress)
                for table in t.metadata.sorted_tables
            }
            _continue_ids(write)
        return copied
    finally:
        source.dispose()
        target.dispose()


def _require_empty(conn: Connection) -> None:
    for table in t.metadata.sorted_tables:
        if conn.execute(select(table).limit(1)).first() is not None:
            raise NotEmpty(f"the database to move to is not empty: {table.name} has rows")


def _copy_table(read: Connection, write: Connection, table: Table, progress: Progress) -> int:
    total = int(read.scalar(select(func.count()).select_from(table)) or 0)
    progress(table.name, 0, total)
    done = 0
    rows = read.execution_options(stream_results=True, yield_per=PAGE).execute(
        select(table).order_by(*table.primary_key.columns)
    )
    for page in rows.mappings().partitions(PAGE):
        write.execute(insert(table), [{**row, **_RESET.get(table.name, {})} for row in page])
        done += len(page)
        progress(table.name, done, total)
    return done


def _continue_ids(conn: Connection) -> None:
    """Let PostgreSQL's sequences continue after the copied ids; SQLite needs no such step."""
    if conn.dialect.name != "postgresql":
        return
    for table in (t.lanes, t.deliveries, t.attempts, t.actions):
        name = table.name
        conn.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), "  # noqa: S608 - our names
                f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {name}), false)"
            )
        )
