"""Runs on databases that already have the schema: migrated once, and copied for each test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.store.database.connect import connect, url_of
from bridge.store.database.schema_version import migrate
from crash.databases import Database, PostgreSQL, SQLite, must_have_postgresql, reachable
from crash.run import Run


def _migrate(database: Database) -> None:
    engine = connect(url_of(database.url))
    migrate(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a SQLite file with the schema."""
    made = SQLite(tmp_path_factory.mktemp("template"))
    _migrate(made)
    return made.path


@pytest.fixture(scope="session")
def _server() -> None:
    """Skip without a PostgreSQL server; fail in CI, which provides one."""
    if not reachable():
        reason = "there is no PostgreSQL server: BRIDGE_TEST_POSTGRES names one"
        (pytest.fail if must_have_postgresql() else pytest.skip)(reason)


@pytest.fixture(scope="session")
def _template(_server: None) -> Iterator[str]:
    """Make a PostgreSQL database with the schema, and return its name."""
    with contextlib.closing(PostgreSQL()) as made:
        _migrate(made)
        yield made.name


def _database(request: pytest.FixtureRequest, folder: Path, kind: str) -> Database:
    if kind == "empty postgresql":
        request.getfixturevalue("_server")
        return PostgreSQL()
    if kind == "postgresql":
        return PostgreSQL(template=request.getfixturevalue("_template"))
    made = SQLite(folder)
    if kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("_file"), made.path)
    return made


@contextlib.contextmanager
def _running(request: pytest.FixtureRequest, folder: Path, kind: str) -> Iterator[Run]:
    """Yield a run on sqlite or postgresql; a kind that begins with "empty " has no schema."""
    database = _database(request, folder, kind)
    with contextlib.closing(database), Run(folder, database) as run:
        yield run


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A run on each of the two databases."""
    with _running(request, tmp_path, request.param) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A run on each of the two databases, which do not have the schema yet."""
    with _running(request, tmp_path, f"empty {request.param}") as made:
        yield made


@pytest.fixture
def shared_run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A run on the database that several processes share."""
    with _running(request, tmp_path, "postgresql") as made:
        yield made
