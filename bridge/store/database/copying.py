"""Move everything a bridge keeps from one database to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Table, func, insert, select, text

from bridge.errors import BridgeError
from bridge.store import schema as t
from bridge.store.database import connect as engines

#: How many rows are read and written at a time.
PAGE = 500

#: Columns that hold only for the database they were written in: the base of a file's clock is added
#: to the clock of a machine, that of a server to the server's.
_RESET: Mapping[str, Mapping[str, object]] = {"clock": {"boot": "", "base": 0}}

#: (table, rows moved so far, rows in all)
Progress = Callable[[str, int, int], None]


class NotEmpty(BridgeError):
    """The database to move to already holds something."""


def move(source_url: str, target_url: str, progress: Progress) -> dict[str, int]:
    """Copy every row of a stopped bridge into an empty database, in one transaction.

    The source keeps everything. The target's schema is made here; nothing of the move is seen
    there until all of it is. Returns how many rows of each table were moved.
    """
    source = engines.connect(engines.url_of(source_url))
    target = engines.connect(engines.url_of(target_url), writing=True)
    try:
        engines.require_schema(source)
        engines.migrate(target)
        with source.connect() as read, target.begin() as write:
            _require_empty(write)
            moved = {
                table.name: _move_table(read, write, table, progress)
                for table in t.metadata.sorted_tables
            }
            _go_on_counting(write)
        return moved
    finally:
        source.dispose()
        target.dispose()


def _require_empty(conn: Connection) -> None:
    for table in t.metadata.sorted_tables:
        if conn.execute(select(table).limit(1)).first() is not None:
            raise NotEmpty(f"the database to move to is not empty: {table.name} has rows")


def _move_table(read: Connection, write: Connection, table: Table, progress: Progress) -> int:
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


def _go_on_counting(conn: Connection) -> None:
    """Let PostgreSQL's counters start after what was copied; SQLite's follow by themselves."""
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
