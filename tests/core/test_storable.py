"""Events and verdicts as both databases store them."""

from dataclasses import replace

import pytest

from bridge.core.printable import KEY_CHARS
from bridge.core.storable import is_storable, storable_event, storable_verdict
from bridge.model import Effect, Event, Verdict, VerdictName

EFFECT = Effect(identity="change:1", also=("change:2",), event="issue_updated")
EVENT = Event(
    id="e1",
    hook="main",
    source="jira",
    site="main",
    received=1,
    name="jira:issue_updated",
    record="10001",
    key="PLAT-1",
    actor="Ana",
    time=1,
    effects=(EFFECT,),
)
VERDICT = Verdict(name=VerdictName.DELIVER, reason="project is PLAT", identities=("change:1",))
LONG = "x" * (KEY_CHARS + 1)


def test_nearly_every_event_is_stored_as_it_is():
    assert is_storable(EVENT, [VERDICT])
    assert (storable_event(EVENT), storable_verdict(VERDICT)) == (EVENT, VERDICT)


@pytest.mark.parametrize(
    ("event", "stored"),
    [
        (replace(EVENT, name="a\0b"), replace(EVENT, name="a\ufffdb")),
        (replace(EVENT, actor="\ud83d"), replace(EVENT, actor="?")),
        (replace(EVENT, time=2**63), replace(EVENT, time=None)),
        (replace(EVENT, attempt=2**31), replace(EVENT, attempt=2**31 - 1)),
    ],
)
def test_a_value_that_a_database_refuses_is_replaced(event, stored):
    assert not is_storable(event, [])
    assert storable_event(event) == stored
    assert is_storable(stored, [])


def test_keys_that_are_too_long_are_cut_the_same_in_events_and_verdicts():
    names = {"identity": LONG, "also": (LONG + "a",), "stale_after": LONG, "formerly": LONG}
    event = replace(EVENT, record=LONG, key=LONG, effects=(replace(EFFECT, **names),))
    stored = storable_event(event)
    assert not is_storable(event, [])
    assert is_storable(stored, [])
    verdict = storable_verdict(replace(VERDICT, reason="\0", identities=(LONG,)))
    assert verdict.identities == (stored.effects[0].identity,)
    assert verdict.reason == "\ufffd"
    assert storable_event(stored) == stored


def test_a_reason_alone_makes_an_entry_unstorable():
    assert not is_storable(EVENT, [replace(VERDICT, reason="\0")])
