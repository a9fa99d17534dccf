"""Moving a bridge's rows from one database to another."""

import pytest
from ledger import Ledger
from made_up import change, comment, event
from sqlalchemy import select

from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.connect import connect, url_of
from bridge.store.database.copying import NotEmpty, copy_database
from bridge.store.database.schema_version import WrongSchema

#: The stages of the verdicts that `fill` keeps, the last column of their table.
STAGES = ["claimed", "passes_filter", "passes_filter"]


def rows(url):
    engine = connect(url_of(url))
    with engine.connect() as conn:
        found = {
            table.name: [tuple(row) for row in conn.execute(select(table))]
            for table in t.metadata.sorted_tables
        }
    engine.dispose()
    return {name: sorted(each, key=str) for name, each in found.items()}


def fill(url):
    ledger = Ledger(url)
    ledger.keep(event("1", change("7")), event("2", comment("9"), record="2"))
    ledger.keep(event("3", change("7")))
    ledger.settle(ledger.lease()[0], State.DELIVERED)
    ledger.close()


@pytest.fixture
def empty(tmp_path):
    return f"sqlite:///{tmp_path / 'empty.db'}"


def test_everything_arrives(database, empty):
    fill(database)
    told = []
    moved = copy_database(database, empty, lambda *step: told.append(step))
    assert rows(empty) == rows(database)
    assert sorted(row[-1] for row in rows(empty)["verdicts"]) == STAGES
    assert moved == {name: len(each) for name, each in rows(database).items()}
    assert {name: done for name, done, total in told if done == total} == moved


@pytest.mark.postgres
def test_postgresql_goes_on_counting(sqlite, postgresql):
    fill(sqlite)
    copy_database(sqlite, postgresql, lambda *_: None)
    before = rows(postgresql)
    assert before == rows(sqlite)
    ledger = Ledger(postgresql)
    ledger.keep(event("4", change("8"), record="3"))
    ledger.close()
    ids = {row[0] for row in rows(postgresql)["deliveries"]}
    assert len(ids) == len(before["deliveries"]) + 1
    assert max(ids) > max(row[0] for row in before["deliveries"])


def test_a_database_with_rows_is_left_alone(database, sqlite, tmp_path):
    fill(database)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    copy_database(database, other, lambda *_: None)
    before = rows(other)
    with pytest.raises(NotEmpty, match="is not empty"):
        copy_database(database, other, lambda *_: None)
    assert rows(other) == before


def test_an_older_schema_is_not_moved(empty, sqlite):
    with pytest.raises(WrongSchema):
        copy_database(empty, sqlite, lambda *_: None)


def test_nothing_arrives_of_a_move_that_breaks_off(sqlite, empty):
    fill(sqlite)

    def give_up(table, done, total):
        if table == "lanes" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_database(sqlite, empty, give_up)
    assert not any(rows(empty).values())
