"""The check itself: it finds each thing that must not be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import orjson
import pytest
from sqlalchemy import Engine, create_engine, insert

from bridge.store import schema as t
from crash.account import Account, settle
from crash.journal import Journal
from crash.rows import effect_of

COMMENT = ("comment", "7", "created")
CHANGE = ("change", "8", "")
LATER = ("change", "9", "")
_NAMES = {
    COMMENT: "comment:7:created:2026-03-05",
    CHANGE: "change:8:10001",
    LATER: "change:9:10001",
}


class Books:
    """Two journals and a database, filled in as a run would."""

    def __init__(self, folder: Path) -> None:
        self.load, self.sink = folder / "load.journal", folder / "sink.journal"
        self.engine: Engine = create_engine(f"sqlite:///{folder / 'rows.db'}")
        t.metadata.create_all(self.engine)
        self._events = 0

    def send(
        self,
        place: int,
        *effects: tuple[str, str, str],
        wanted: bool = True,
        holds: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Record a step that was sent and accepted; returns the id of its event."""
        self._events += 1
        event = f"event-{self._events}"
        journal = Journal(self.load)
        step = {"record": "10001", "place": place}
        journal.note(kind="step", wanted=wanted, effects=effects, holds=dict(holds), **step)
        journal.note(kind="kept", events=[event], **step)
        journal.note(kind="told", **step)
        journal.close()
        return event

    def sunk(self, *effects: tuple[str, str, str], written: bool = True, **holds: str) -> None:
        """Note that Aha! received something."""
        journal = Journal(self.sink)
        line = {"record": "10001", "effects": effects, "holds": holds, "written": written}
        journal.note(fate="", at=0, **line)
        journal.close()

    def kept(
        self, event: str, *effects: tuple[str, str, str], state: str = "delivered", **more: str
    ) -> None:
        """Write the rows of an event, with a delivery if it has a state."""
        verdict = more.get("verdict", "deliver")
        blank = dict.fromkeys(("hook", "source", "site", "name", "record", "key", "actor"), "")
        blank["record"] = "10001"
        row = {"id": event, "received": 0, "delivery_id": "", "attempt": 0, "outcome": verdict}
        told = orjson.dumps([[_NAMES[effect], "", "", True] for effect in effects]).decode()
        flags = {"thin": False, "full": True, "effects": told, "verdicts": "[]"}
        judged = {"event": event, "destination": "aha", "route": "r", "verdict": verdict}
        with self.engine.begin() as conn:
            conn.execute(insert(t.events), [blank | row | flags])
            said = {"reason": "", "first": more.get("first", "")}
            conn.execute(insert(t.verdicts), [judged | said])
            if state:
                names = str([_NAMES[effect] for effect in effects]).replace("'", '"')
                sent = {"event": event, "destination": "aha", "route": "r", "lane": 1}
                times = {"created": 0, "updated": 0, "writes": True}
                conn.execute(
                    insert(t.deliveries), [sent | times | {"state": state, "effects": names}]
                )

    def settle(self, *, poison: bool = False) -> Account:
        """Check the promises."""
        try:
            return settle(self.load, self.sink, self.engine, poison=poison)
        finally:
            self.engine.dispose()


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def wrong(account: Account) -> set[str]:
    """Return the kinds of violations."""
    return {name for name, found in account.wrong.items() if found}


def test_all_is_well(books):
    books.kept(books.send(0, CHANGE, COMMENT), CHANGE, COMMENT)
    books.sunk(CHANGE, COMMENT, written=False)
    books.sunk(CHANGE, COMMENT)
    books.kept(books.send(1, LATER), LATER)
    books.sunk(LATER)
    books.kept(books.send(1, LATER), state="", verdict="duplicate", first="event-2")
    account = books.settle()
    assert account.fine
    assert account.complaints() == ""
    assert (account.accepted, account.delivered, account.duplicates) == (3, 2, 1)
    assert account.repeated_states == 0


def test_a_state_may_be_told_again(books):
    books.kept(books.send(0, CHANGE), CHANGE)
    books.sunk(CHANGE)
    books.sunk(CHANGE)
    account = books.settle()
    assert account.fine
    assert account.repeated_states == 1


def test_lost(books):
    books.kept(books.send(0, COMMENT), COMMENT)
    books.sunk(COMMENT, written=False)
    account = books.settle()
    assert wrong(account) == {"lost", "unaccounted"}
    assert "comment" in account.complaints()


def test_overtaken_by_newer_changes_is_not_lost(books):
    books.kept(books.send(0, CHANGE), CHANGE, state="", verdict="stale", first="event-2")
    books.kept(books.send(1, LATER), LATER)
    books.sunk(LATER)
    assert books.settle().fine


def test_answered_and_not_kept(books):
    books.send(0, CHANGE)
    books.sunk(CHANGE)
    assert wrong(books.settle()) == {"lost"}


def test_written_twice(books):
    books.kept(books.send(0, COMMENT), COMMENT)
    books.sunk(COMMENT)
    books.sunk(COMMENT)
    assert wrong(books.settle()) == {"written_twice"}


@pytest.mark.parametrize("tried", [True, False])
def test_out_of_order(books, tried):
    books.kept(books.send(0, CHANGE), CHANGE)
    books.kept(books.send(1, LATER), LATER)
    if tried:
        books.sunk(CHANGE, written=False)
    books.sunk(LATER)
    books.sunk(CHANGE)
    assert wrong(books.settle()) == {"out_of_order"}


def test_set_back(books):
    books.kept(books.send(0, CHANGE, holds={"priority": "Low"}), CHANGE)
    books.kept(books.send(1, LATER, holds={"priority": "High"}), LATER)
    books.sunk(CHANGE, priority="Low")
    books.sunk(LATER, priority="High")
    assert books.settle().fine
    books.sunk(CHANGE, priority="Low")
    assert wrong(books.settle()) == {"set_back"}


def test_poison_is_given_up(books):
    """Aha! takes nothing of the record that all of this is about."""
    books.kept(books.send(0, COMMENT), COMMENT, state="discarded")
    books.sunk(COMMENT, written=False)
    assert wrong(books.settle()) == {"lost", "unaccounted"}
    account = books.settle(poison=True)
    assert account.fine
    assert (account.poison, account.discarded) == (1, 0)


def test_poison_that_is_still_on_its_way(books):
    books.kept(books.send(0, COMMENT), COMMENT, state="parked")
    assert wrong(books.settle(poison=True)) == {"unaccounted"}


def test_leaked(books):
    books.kept(books.send(0, CHANGE, wanted=False), CHANGE)
    books.sunk(CHANGE)
    assert wrong(books.settle()) == {"leaked"}


@pytest.mark.parametrize(
    "rows",
    [
        {"state": "parked"},
        {"state": ""},
        {"verdict": "undecided"},
        {"verdict": "duplicate", "state": "", "first": "nobody"},
    ],
)
def test_unaccounted(books, rows):
    books.kept(books.send(0, CHANGE), CHANGE, **rows)
    books.sunk(CHANGE)
    assert wrong(books.settle()) == {"unaccounted"}


def test_carried_by_two(books):
    books.kept(books.send(0, CHANGE), CHANGE)
    books.kept(books.send(0, CHANGE), CHANGE)
    books.sunk(CHANGE)
    assert wrong(books.settle()) == {"unaccounted"}


@pytest.mark.parametrize("effect", list(_NAMES))
def test_identities_are_read(effect):
    assert effect_of(_NAMES[effect]) == effect
