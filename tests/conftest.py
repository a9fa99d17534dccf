"""The databases that tests run on, and how long hypothesis looks.

PostgreSQL is spoken to through C, which the ban on sockets does not see: a database of this
session's own is made on the server of BRIDGE_TEST_POSTGRES, and dropped at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from bridge.store.database import schema_version
from bridge.store.database.connect import connect, url_of
from bridge.store.schema import metadata

SERVER = os.environ.get("BRIDGE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")

# Started in the background, or by nohup, a process ignores these, and so do those it starts: the
# commands under test would not end when they are asked to.
for _number, _action in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _action)

settings.register_profile("quick", deadline=None)
settings.register_profile("long", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def migrate(url: str) -> None:
    engine = connect(url_of(url))
    schema_version.migrate(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def server() -> str:
    """Return the address of a PostgreSQL server that databases can be made on."""
    try:
        psycopg.connect(SERVER, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        reason = f"no PostgreSQL at BRIDGE_TEST_POSTGRES: {str(error).splitlines()[0]}"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    return SERVER


@pytest.fixture(scope="session")
def _postgresql(server: str) -> Iterator[tuple[str, psycopg.Connection]]:
    name = f"bridge_test_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        # What the disk keeps is for the tests that kill; here it only costs time.
        admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        url = f"{server.rpartition('/')[0]}/{name}"
        migrate(url)
        try:
            with psycopg.connect(url, autocommit=True, application_name="cleaner") as cleaner:
                yield url, cleaner
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def _sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite(_sqlite: Path, tmp_path: Path) -> str:
    """Return the URL of an empty SQLite file with the schema."""
    return f"sqlite:///{shutil.copyfile(_sqlite, tmp_path / 'bridge.db')}"


@pytest.fixture
def postgresql(_postgresql: tuple[str, psycopg.Connection]) -> str:
    """Return the URL of an empty PostgreSQL database with the schema."""
    url, cleaner = _postgresql
    for table in metadata.sorted_tables:  # TRUNCATE takes a hundred times as long
        cleaner.execute(f"DELETE FROM {table.name}")
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database with the schema: each test runs on both."""
    return str(request.getfixturevalue(request.param))
