"""The schema: what the migrations make, whose database it is, and the copy made before a change."""

import re
import shutil
import sqlite3
import time

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, MetaData, Table, inspect, select, text

from bridge.store import Store
from bridge.store import schema as t
from bridge.store.database import schema_version
from bridge.store.database.connect import connect, url_of
from bridge.store.database.schema_version import ForeignDatabase, WrongSchema
from bridge.store.queue.lanes import OPEN


@pytest.fixture
def store(database, tmp_path):
    made = Store(database, spool=tmp_path / "spool")
    yield made
    made.close()


def described(conn):
    """Describe all that the database itself knows of the schema, in parts that can be compared."""
    if conn.dialect.name == "sqlite":
        rows = conn.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        found = {row.name: row.sql.replace("(false)", "false") for row in rows}
    else:
        rows = conn.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()")
        )
        found = {row[0]: row[1].replace(f" {_schema(conn)}.", " ") for row in rows}
        columns = conn.execute(
            text(
                "SELECT table_name || '.' || column_name, data_type || is_nullable || "
                "coalesce(column_default, '') "
                "FROM information_schema.columns WHERE table_schema = current_schema()"
            )
        )
        found |= {row[0]: row[1].replace(f"'{_schema(conn)}.", "'") for row in columns}
    return {
        name: sorted("".join(told.replace('"', "").split()).split(","))
        for name, told in found.items()
        if "alembic" not in name
    }


def _schema(conn):
    return conn.scalar(text("SELECT current_schema()"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty(request, tmp_path):
    """Make engines on empty databases, which nobody migrated."""
    made = []

    def make(name):
        if request.param == "sqlite":
            (tmp_path / f"{name}.db").touch()
            url = f"sqlite:///{tmp_path / name}.db"
        else:
            url = request.getfixturevalue("postgresql")
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
                conn.execute(f"CREATE SCHEMA {name}")
            url += f"?options=-csearch_path%3D{name}"
        made.append(connect(url_of(url), writing=True))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def test_the_migrations_make_the_tables(empty):
    by_migrations, by_tables = empty("by_migrations"), empty("by_tables")
    assert schema_version.migrate(by_migrations) == ("", schema_version.latest())
    t.metadata.create_all(by_tables)
    with by_migrations.connect() as one, by_tables.connect() as other:
        assert compare_metadata(MigrationContext.configure(one), t.metadata) == []
        assert described(one) == described(other)


def test_the_partial_index_has_the_open_states_and_is_used(empty):
    engine = empty("open")
    schema_version.migrate(engine)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    query = f"SELECT d.place FROM deliveries d WHERE d.lane = 1 AND {OPEN}"
    with engine.connect() as conn:
        definition = ",".join(described(conn)["deliveries_open"])
        plan = str(conn.execute(text(f"{explain} {query}")).all())
    assert sorted(re.findall(r"'(\w+)'", definition)) == sorted(t.OPEN)
    assert "deliveries_open" in plan


def test_a_schema_of_this_version_is_fine(store):
    store.require_schema()
    assert store.migrate() == (schema_version.latest(), schema_version.latest())


def test_an_empty_database_has_to_be_migrated(empty):
    with pytest.raises(WrongSchema) as caught:
        schema_version.require_schema(empty("nothing"))
    assert str(caught.value) == (
        f"the database's schema is empty, this version needs {schema_version.latest()}: "
        "run `aha-bridge migrate`"
    )


def test_a_database_of_something_else_is_not_touched(empty):
    engine = empty("somebodys")
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE customers (id INTEGER)"))
    for work in (schema_version.migrate, schema_version.require_schema):
        with pytest.raises(ForeignDatabase) as caught:
            work(engine)
        assert str(caught.value) == (
            "this database belongs to something else: it has tables (customers) but no version"
        )
    assert inspect(engine).get_table_names() == ["customers"]


def test_a_database_of_a_newer_version_is_not_touched(empty):
    engine = empty("newer")
    schema_version.migrate(engine)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for work in (schema_version.migrate, schema_version.require_schema):
        with pytest.raises(ForeignDatabase, match="is 9999, which this version does not know"):
            work(engine)


def test_a_first_migration_that_was_cut_short_is_done_again(empty):
    engine = empty("cut_short")
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    assert schema_version.migrate(engine) == ("", schema_version.latest())


@pytest.fixture
def two_revisions(tmp_path):
    """Return a copy of the migrations with one more revision, as a coming version will have."""
    folder = tmp_path / "store"
    shutil.copytree(schema_version.MIGRATIONS, folder / "migrations")
    (folder / "migrations" / "versions" / "9999_more.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        f"revision = '9999'\ndown_revision = '{schema_version.latest()}'\n"
        "branch_labels = depends_on = None\n"
        "def upgrade():\n    op.create_table('more', sa.Column('id', sa.Integer()))\n"
    )
    return folder


def test_an_older_file_is_copied_before_it_is_changed(sqlite, tmp_path, two_revisions):
    store = Store(sqlite, spool=tmp_path / "spool")
    store._write_here(lambda conn, now: conn.execute(t.jobs.insert().values(_JOB)))
    before = schema_version.latest()
    with store._reading() as reading:  # the log cannot be put back into the file meanwhile
        reading.execute(t.jobs.select()).all()
        store._write_here(
            lambda conn, now: conn.execute(t.jobs.insert().values({**_JOB, "name": "b"}))
        )
        later = schema_version.migrate(store._writers, scripts=two_revisions / "migrations")
    store.close()
    assert later == (before, "9999")
    copy = tmp_path / f"bridge.db.before-{before}"
    with sqlite3.connect(copy) as conn:
        assert conn.execute("SELECT name FROM jobs").fetchall() == [("a",), ("b",)]
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == (before,)
        assert conn.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []
    conn.close()


_JOB = {"name": "a", "owner": "", "until": 0}


def test_what_was_on_its_way_keeps_its_order(empty):
    engine = empty("first")
    command.upgrade(schema_version._alembic(engine, schema_version.MIGRATIONS), "0001")
    with engine.begin() as conn:
        for number in (1, 2):
            row = {"id": number, "event": f"e{number}", "lane": 1, "state": "queued"}
            row |= {"destination": "aha", "route": "a", "effects": "[]", "writes": False}
            conn.execute(_OLDER.insert().values(row | {"created": 7 * number, "updated": 0}))
    assert schema_version.migrate(engine) == ("0001", schema_version.latest())
    with engine.connect() as conn:
        found = conn.execute(select(t.deliveries.c.event, t.deliveries.c.place)).all()
    assert sorted(found) == [("e1", 7), ("e2", 14)]


_OLDER = Table(
    "deliveries",
    MetaData(),
    *(Column(column.name, column.type) for column in t.deliveries.c if column.name != "place"),
)


def test_verdicts_of_before_have_no_stage(empty):
    engine = empty("stageless")
    command.upgrade(schema_version._alembic(engine, schema_version.MIGRATIONS), "0008")
    columns = ("event", "destination", "route", "verdict", "reason", "first")
    with engine.begin() as conn:
        conn.execute(
            text(
                f"INSERT INTO verdicts ({', '.join(columns)}) "
                "VALUES ('e1', 'aha', 'a', 'deliver', 'so', '')"
            )
        )
    assert schema_version.migrate(engine) == ("0008", schema_version.latest())
    with engine.connect() as conn:
        [row] = conn.execute(select(t.verdicts)).mappings()
    assert [row[name] for name in columns] == ["e1", "aha", "a", "deliver", "so", ""]
    assert row["stage"] == ""


def test_only_a_file_is_copied(empty, tmp_path, two_revisions):
    engine = empty("older")
    schema_version.migrate(engine)
    assert schema_version.migrate(engine, scripts=two_revisions / "migrations")[1] == "9999"
    copies = len(list(tmp_path.glob("*.before-*")))
    assert copies == (engine.dialect.name == "sqlite")


def test_times_are_told_by_the_database(store):
    ours = time.time_ns() // 1_000_000
    assert abs(store.now() - ours) < 5_000
    assert abs(store._write_here(lambda conn, now: now) - ours) < 5_000


def test_urls():
    assert url_of("sqlite:///x.db").drivername == "sqlite"
    assert url_of("postgresql://x/y").drivername == "postgresql+psycopg"
    assert url_of("postgresql+psycopg2://x/y").drivername == "postgresql+psycopg"


def test_sqlite_is_as_safe_as_it_can_be(sqlite, tmp_path):
    store = Store(sqlite, spool=tmp_path)
    assert store.embedded
    for engine in (store._readers, store._writers):
        with engine.connect() as conn:
            assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
            assert conn.scalar(text("PRAGMA synchronous")) == 2
    store.close()
