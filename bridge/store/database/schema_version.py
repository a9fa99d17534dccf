"""The version of a database's schema: which one it has, and how to bring it up to date."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from bridge.errors import BridgeError
from bridge.store.database.connect import file_of, missing
from bridge.store.database.files import make_file

MIGRATIONS = Path(__file__).parents[1] / "migrations"


class WrongSchema(BridgeError):
    """The database's schema is not this version's: run `aha-bridge migrate`."""


class ForeignDatabase(WrongSchema):
    """This database belongs to something else."""


def latest(scripts: Path = MIGRATIONS) -> str:
    """Return the revision of the schema this version needs."""
    return ScriptDirectory(str(scripts)).get_current_head() or ""


def revision(engine: Engine) -> str:
    """Return the revision of a database's schema, "" when it is empty or there is no file."""
    if missing(engine):
        return ""
    with engine.connect() as conn:
        return MigrationContext.configure(conn).get_current_revision() or ""


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


def migrate(engine: Engine, scripts: Path = MIGRATIONS) -> tuple[str, str]:
    """Bring the schema up to date; returns the revisions before and after.

    A SQLite file with data is copied beside itself first. Raises `ForeignDatabase` for a database
    that belongs to another program, or to a newer version, and leaves it as it is.
    """
    path = file_of(engine.url)
    if path is not None:
        make_file(path)
    before = revision(engine)
    if before == latest(scripts):
        return before, before
    _require_ours(engine, before)
    if before and engine.dialect.name == "sqlite":
        _back_up(engine, before)
    command.upgrade(_alembic(engine, scripts), "head")
    return before, revision(engine)


def _require_ours(engine: Engine, found: str) -> None:
    known = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    if found and found not in {script.revision for script in known}:
        raise ForeignDatabase(
            f"the database's schema is {found}, which this version does not know: it belongs to "
            "a newer version, or to something else"
        )
    if missing(engine):
        return
    tables = sorted(set(inspect(engine).get_table_names()) - {"alembic_version"})
    if not found and tables:
        raise ForeignDatabase(
            f"this database belongs to something else: it has tables ({tables[0]}) but no version"
        )


def _back_up(engine: Engine, before: str) -> None:
    """Copy the file, with the pages that are still in its log, also while others have it open."""
    path = Path(str(engine.url.database))
    beside = path.with_name(f"{path.name}.before-{before}")
    make_file(beside)
    with engine.connect() as conn, closing(sqlite3.connect(beside)) as copy:
        conn.connection.dbapi_connection.backup(copy)  # type: ignore[union-attr]  # sqlite3's


def _alembic(engine: Engine, scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["engine"] = engine
    return config
