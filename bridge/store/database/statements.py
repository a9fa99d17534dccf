"""Statements for both databases: prepared, pipelined, and over any number of rows."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection, Executable, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger

Insert = sqlite.Insert | postgresql.Insert
Values = Mapping[str, object]


class now_ms(FunctionElement[int]):
    """The database's clock, in ms since the epoch."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite_now(_element: now_ms, _compiler: SQLCompiler, **_: object) -> str:
    # unixepoch('subsec') would be simpler, but needs SQLite 3.42.
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql_now(_element: now_ms, _compiler: SQLCompiler, **_: object) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def upsert(conn: Connection, table: Table) -> Insert:
    """Return an INSERT of the connection's dialect, which has ON CONFLICT."""
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def insert_or_ignore(conn: Connection, table: Table) -> Insert:
    """Return an INSERT that skips rows whose key exists already."""
    return upsert(conn, table).on_conflict_do_nothing()


class Prepared:
    """A statement that is compiled once for each dialect, and then passed to the driver.

    For the few statements that every batch runs: building, looking up and wrapping them costs
    SQLAlchemy several times what the database needs to run them. A statement must not have an
    `IN` of varying length. Values are of the driver's types, in and out; errors are SQLAlchemy's.
    """

    def __init__(
        self, statement: Executable | Callable[[str], Executable], keys: Sequence[str] = ()
    ) -> None:
        self._statement = statement
        self._keys = list(keys) or None
        #: By dialect: the SQL, and the values of its own that it is run with.
        self._compiled: dict[str, tuple[str, Mapping[str, object]]] = {}
        self._row: Callable[[Iterable[Any]], Any] | None = None

    def rows(self, conn: Connection, values: Values | None = None) -> list[Any]:
        """Run the statement and return its rows, as named tuples."""
        cursor = self._execute(conn, values or {})
        try:
            return list(map(self._row or self._named(cursor), cursor.fetchall()))
        except Exception as error:
            raise _translated(conn, error) from error
        finally:
            cursor.close()

    def send(self, conn: Connection, values: Values | None = None) -> Callable[[], list[Any]]:
        """Send the statement; returns a function that fetches its rows.

        Inside a `pipeline`, call that function once all statements are sent.
        """
        cursor = self._execute(conn, values or {})

        def fetch() -> list[Any]:
            try:
                return list(map(self._row or self._named(cursor), cursor.fetchall()))
            except Exception as error:
                raise _translated(conn, error) from error
            finally:
                cursor.close()

        return fetch

    def first(self, conn: Connection, values: Values | None = None) -> Any:  # noqa: ANN401 - a row
        """Run the statement and return its first row, or None."""
        found = self.rows(conn, values)
        return found[0] if found else None

    def run(self, conn: Connection, values: Values | Sequence[Values]) -> None:
        """Run the statement with one set of values, or with each of several."""
        self._execute(conn, values).close()

    def _execute(self, conn: Connection, values: Values | Sequence[Values]) -> DBAPICursor:
        sql, constants = self._compiled.get(conn.dialect.name) or self._compile(conn)
        cursor = conn.connection.cursor()
        try:
            if isinstance(values, Mapping):
                cursor.execute(sql, {**constants, **values})
            elif len(values) == 1:
                cursor.execute(sql, {**constants, **values[0]})
            else:
                cursor.executemany(sql, [{**constants, **each} for each in values])
        except Exception as error:
            cursor.close()
            raise _translated(conn, error) from error
        return cursor

    def _compile(self, conn: Connection) -> tuple[str, Mapping[str, object]]:
        name = conn.dialect.name
        statement = self._statement(name) if callable(self._statement) else self._statement
        # SQLAlchemy counts SQLite's parameters; by name, the driver takes a mapping as it is.
        dialect = _SQLITE if name == "sqlite" else conn.dialect
        compiled = statement.compile(dialect=dialect, column_keys=self._keys)  # type: ignore[attr-defined]
        constants = {k: v for k, v in compiled.params.items() if v is not None}
        self._compiled[name] = str(compiled), constants
        return self._compiled[name]

    def _named(self, cursor: DBAPICursor) -> Callable[[Iterable[Any]], Any]:
        """Return a function that makes a named tuple of a row of the statement."""
        names = [column[0] for column in cursor.description or ()]
        row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        self._row = row._make
        return self._row


#: SQLite's dialect with parameters by name.
_SQLITE = sqlite.dialect(paramstyle="named")


@contextmanager
def pipeline(conn: Connection) -> Iterator[None]:
    """Send the `Prepared` statements that are run inside without waiting for each one's rows.

    On PostgreSQL all of them take one round trip, and an error is raised at the latest at the end.
    On SQLite each one runs at once. Only `Prepared` statements may be run inside.
    """
    if conn.dialect.name == "sqlite":
        yield
        return
    raw: Any = conn.connection.driver_connection
    try:
        with raw.pipeline():
            yield
    except conn.dialect.loaded_dbapi.Error as error:
        if raw.pgconn.pipeline_status:
            # The session ended halfway through. The driver has not noticed yet, but a connection
            # that cannot leave its pipeline is useless.
            raw.close()
        raise _translated(conn, error) from error


def _translated(conn: Connection, error: Exception) -> BaseException:
    """Turn a driver's error into SQLAlchemy's, which has the flag `connection_invalidated`."""
    dbapi = conn.dialect.loaded_dbapi
    if not isinstance(error, dbapi.Error):
        return error
    gone = conn.dialect.is_disconnect(error, conn.connection, None)
    return DBAPIError.instance(
        None,
        None,
        error,
        dbapi.Error,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=conn.dialect,
    )


# Rows as JSON

#: The parts of SQL in which the databases differ where rows are given as JSON: the source of rows,
#: the value at a position of a row, and the clause that locks the rows of the table `l`.
_DIALECTS = {
    "sqlite": ("json_each(:{})", "json_extract(value, '$[{}]')", ""),
    "postgresql": (
        "json_array_elements(CAST(:{} AS json)) AS each(value)",
        "value ->> {}",
        "FOR UPDATE OF l",
    ),
}


def json_rows_statement(sql: str, **columns: str) -> Prepared:
    """Prepare a statement that joins a table `r`, whose rows come as the parameter `:rows`.

    `columns` are those of `r`, in order, with their SQL types; `to_json` makes the parameter. So
    one statement serves any number of rows. The text is SQL with two placeholders: {rows} in
    place of the table `r`, and {lock} for the clause that locks the rows of a table `l` until the
    commit. SQLite needs no such clause: there a transaction that writes is the only one.
    """
    return Prepared(lambda dialect: text(render(dialect, sql, columns)))


def render(dialect: str, sql: str, columns: Mapping[str, str], parameter: str = "rows") -> str:
    """Return the SQL of a `json_rows_statement` in a dialect; `parameter` has the rows."""
    source, value, lock = _DIALECTS[dialect]
    values = [
        f"{_typed(value.format(n), kind)} AS {name}"
        for n, (name, kind) in enumerate(columns.items())
    ]
    table = f"(SELECT {', '.join(values)} FROM {source.format(parameter)}) AS r"  # noqa: S608 - our words
    return sql.format(rows=table, lock=lock)


def _typed(value: str, kind: str) -> str:
    return value if kind == "TEXT" else f"CAST({value} AS {kind})"


def to_json(rows: Sequence[Sequence[object]]) -> str:
    """Return the parameter of a `json_rows_statement`."""
    return orjson.dumps(rows).decode()
