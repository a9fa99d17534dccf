"""The verdict on a thin event after its grace, for one destination where it waits."""

import pytest

from bridge.core.grace import verdict_after_grace
from bridge.model import Stage, Verdict, VerdictName

DELIVER, FILTERED, STALE = VerdictName.DELIVER, VerdictName.FILTERED, VerdictName.STALE


def verdict(name, *identities, to="aha", by="r"):
    return Verdict(name=name, reason="so", route=by, destination=to, identities=identities)


def picked(*verdicts, carries=("comment:1", "comment:2")):
    found = verdict_after_grace(verdicts, "aha", carries)
    return (found.name, found.route, found.identities)


def test_it_is_sent_with_the_effects_that_it_still_carries():
    found = verdict(DELIVER, "comment:1", "comment:3", by="b")
    assert picked(verdict(FILTERED, by="a"), found) == (DELIVER, "b", ("comment:1",))


def test_the_first_route_that_carries_anything_sends_it():
    nothing = verdict(DELIVER, "comment:3", by="a")
    first, second = verdict(DELIVER, "comment:2", by="b"), verdict(DELIVER, "comment:1", by="c")
    assert picked(nothing, first, second) == (DELIVER, "b", ("comment:2",))


@pytest.mark.parametrize("turned", [False, True])
def test_a_verdict_for_this_destination_goes_before_one_for_all(turned):
    several = [verdict(FILTERED, to="", by="all"), verdict(STALE, by="here")]
    assert picked(*several[:: -1 if turned else 1]) == (STALE, "here", ())


def test_a_verdict_for_all_destinations_is_the_destinations():
    found = verdict_after_grace([verdict(FILTERED, to="", by="all")], "aha", ())
    assert (found.route, found.destination) == ("all", "aha")


@pytest.mark.parametrize(
    "verdicts", [(), (verdict(DELIVER, "comment:1", to="crm"),), (verdict(DELIVER, "comment:3"),)]
)
def test_without_a_route_it_is_filtered(verdicts):
    found = verdict_after_grace(verdicts, "aha", ("comment:1",))
    assert (found.name, found.destination, found.stage) == (FILTERED, "aha", Stage.ROUTED)
    assert found.reason == "no route sends it here any more"
