"""An older telling of a record, as the database knows it."""

from dataclasses import replace

import pytest
from ledger import NOW
from made_up import change, comment, event, issue

from bridge.model import State
from bridge.store.snapshots import latest_snapshot

AT_ONCE = [True, False]


def changed(id, number, *fields, as_of, **known):
    effect = replace(change(number), sets=fields)
    return event(id, effect, as_of=as_of, change_id=number, **known)


OLDER = changed("older", 1, "status", as_of=1_000)
NEWER = changed("newer", 2, "status", as_of=2_000)


def keep(ledger, *given, together=False):
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)


@pytest.mark.parametrize("together", AT_ONCE)
def test_it_is_stale_and_claims_nothing(ledger, together):
    keep(ledger, NEWER, OLDER, replace(OLDER, id="again"), together=together)
    assert ledger.outcomes() == {"newer": "deliver", "older": "stale", "again": "stale"}
    assert ledger.deliveries() == [("newer", ["change:2:1"])]
    assert ledger.holders() == {"change:2:1": "newer"}
    assert ledger.verdict("older")["reason"].startswith("event newer was accepted before")


@pytest.mark.parametrize("together", AT_ONCE)
def test_what_was_delivered_before_and_is_told_again_is_a_duplicate(ledger, together):
    keep(ledger, OLDER, NEWER, replace(OLDER, id="again"), together=together)
    assert ledger.outcomes() == {"older": "deliver", "newer": "deliver", "again": "duplicate"}


@pytest.mark.parametrize("together", AT_ONCE)
def test_of_two_effects_only_the_older_state_is_stale(ledger, together):
    both = replace(OLDER, effects=(*OLDER.effects, comment()))
    keep(ledger, NEWER, both, together=together)
    assert ledger.deliveries() == [("newer", ["change:2:1"]), ("older", [comment().identity])]
    reason = ledger.verdict("older")["reason"]
    assert "with the newer state of event newer" in reason
    assert "without what is stale: change:1:1 (event newer)" in reason
    assert [leased.late for leased in ledger.lease(2)] == [False]


def test_what_comes_out_of_a_spool_goes_before_what_still_waits(ledger):
    ledger.keep(NEWER)
    ledger.keep(replace(ledger.entry(OLDER), place=NOW - 5_000))
    assert ledger.outcomes() == {"newer": "deliver", "older": "deliver"}
    [first] = ledger.lease()
    assert (first.event, first.late) == ("older", False)


@pytest.mark.parametrize("state", [State.DELIVERED, State.RETRYING])
def test_what_comes_out_of_a_spool_too_late_is_stale(ledger, state):
    ledger.keep(NEWER)
    [leased] = ledger.lease()
    ledger.settle(leased, state)
    ledger.keep(replace(ledger.entry(OLDER), place=NOW - 5_000))
    assert ledger.outcome("older") == "stale"


def test_what_was_given_up_makes_nothing_stale(ledger):
    ledger.keep(NEWER)
    [leased] = ledger.lease()
    ledger.settle(leased, State.DISCARDED)
    ledger.keep(OLDER)
    assert ledger.outcome("older") == "deliver"


def test_the_same_ids_at_another_site_say_nothing(ledger):
    ledger.keep(replace(NEWER, site="other"), OLDER)
    assert ledger.outcome("older") == "deliver"


@pytest.mark.parametrize("newest_first", AT_ONCE)
def test_the_newest_state_is_what_is_remembered(ledger, newest_first):
    bodies = {"older": issue("OPS-1"), "newer": issue("PLAT-1")}
    given = [replace(OLDER, body=bodies["older"]), replace(NEWER, body=bodies["newer"])]
    keep(ledger, *(given[::-1] if newest_first else given))
    found = ledger.run(lambda conn, _: latest_snapshot(conn, "jira", "1"))
    assert found.event == "newer"
