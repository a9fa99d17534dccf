"""A thin event that its hook's routes do not want makes way for its duplicate through another."""

import pytest
from made_up import InProject, comment, event, issue, plan, route, thin

from bridge.store import schema as t


@pytest.fixture
def ledger(ledgers):
    """Return a ledger where the hook `main` wants what is in OPS, and `second` what is in PLAT."""
    ops = route("ops", InProject("OPS"), hooks=("main",))
    return ledgers(plan(ops, route("plat", InProject("PLAT"), hooks=("second",))))


FIRST = thin("t1")
SECOND = thin("t2", hook="second")
THIRD = thin("t3", hook="second")
UNWANTED = event("f1", comment(), body=issue("PLAT-1"))
BATCHES = [
    [[FIRST, SECOND, THIRD, UNWANTED]],
    [[FIRST], [SECOND], [THIRD], [UNWANTED]],
    [[FIRST], [SECOND, THIRD, UNWANTED]],
    [[FIRST, SECOND], [THIRD, UNWANTED]],
]


@pytest.mark.parametrize("batches", BATCHES)
def test_the_first_duplicate_through_another_hook_waits_in_its_place(ledger, batches):
    for batch in batches:
        ledger.keep(*batch)
    assert ledger.outcomes() == {
        "t1": "duplicate",
        "t2": "undecided",
        "t3": "duplicate",
        "f1": "filtered",
    }
    assert (ledger.verdict("t1")["first"], ledger.verdict("t3")["first"]) == ("f1", "t2")
    assert "no route of the hook main accepts it" in ledger.verdict("t2")["reason"]
    assert ledger.verdict("t2")["route"] == "plat"
    assert ledger.deliveries() == [("t2", [comment().identity])]
    assert ledger.holders() == {comment().identity: "t2"}
    assert ledger.rows(t.events, id="t2")[0]["body"] is not None


@pytest.mark.parametrize("batches", BATCHES)
def test_a_fuller_body_through_that_hook_takes_the_place_over(ledger, batches):
    for batch in batches:
        ledger.keep(*batch)
    ledger.keep(event("f2", comment(), hook="second", body=issue("PLAT-1")))
    assert ledger.deliveries() == [("f2", [comment().identity])]
    firsts = {name: ledger.verdict(name)["first"] for name in ("t2", "t3")}
    assert firsts == {"t2": "f2", "t3": "f2"}
    assert ledger.outcome("f2") == "deliver"
