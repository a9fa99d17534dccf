"""A comment that the routes of one hook turn down is offered to the other hooks that told it."""

from itertools import permutations

import pytest

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def started(anywhere):
    """Two hooks: the routes of `dc_b` want what those of `dc_a` do not."""
    anywhere.route("unwanted", **{"from": ["dc_a"], "when": "project = PLAT"}, unknown=["drop"])
    anywhere.route("wanted", **{"from": ["dc_b"], "when": "project = CORE"})
    return anywhere.start()


@pytest.fixture(params=[("dc_a", "dc_b"), ("dc_b", "dc_a")], ids=["wanted last", "wanted first"])
def hooks(request):
    """The two in their order of arrival."""
    return request.param


def verdicts(scene, *events):
    return [scene.line(event).verdict for event in events]


def delivered_once(scene, text):
    """Hold the bridge to one delivery in all: a comment of this text."""
    scene.later(11)
    account = scene.finish()
    assert account.deliveries == {"delivered": 1}
    assert [one.text for one in scene.sandbox.comments()] == [text]


def test_a_thin_comment_is_offered_to_the_hook_of_its_duplicate(started, hooks, dc):
    body = dc.said(dc.comment("For you."), dc.issue("CORE-1"))
    told = {hook: started.send(hook, body) for hook in hooks}
    first, second = (told[hook] for hook in hooks)
    assert verdicts(started, first, second) == ["undecided", "duplicate"]
    delivered_once(started, "For you.")
    assert started.line(told["dc_b"]).verdict == "deliver"
    assert started.state(told["dc_b"]) == "delivered"
    assert started.line(told["dc_b"]).route == "wanted"
    if hooks[0] == "dc_a":
        assert started.line(told["dc_a"]).verdict == "filtered"
    # What is sent can be looked at, and replayed.
    assert started.life(told["dc_b"]).body is not None


def test_what_was_offered_and_taken_is_not_sent_again(started, hooks, dc):
    body = dc.said(dc.comment("Once."), dc.issue("CORE-1"))
    for hook in (*hooks, *hooks):
        started.send(hook, body)
    delivered_once(started, "Once.")
    again = started.send("dc_b", body)
    assert started.line(again).verdict == "duplicate"
    [carrier] = [line.event for line in started.lines() if line.verdict == "deliver"]
    assert started.line(again).first == carrier
    assert {line.first for line in started.lines() if line.verdict == "duplicate"} == {carrier}


@pytest.mark.parametrize("order", list(permutations(("thin a", "thin b", "full a"))), ids=" ".join)
def test_a_fuller_body_that_one_hook_does_not_want_leaves_it_to_the_other(started, dc, order):
    thin, full = dc.writes.comment_pair(
        "comment_created", dc.comment("Mine."), dc.issue("CORE-1"), 9
    )
    bodies = {"thin a": ("dc_a", thin), "thin b": ("dc_b", thin), "full a": ("dc_a", full)}
    told = {name: started.send(*bodies[name]) for name in order}
    delivered_once(started, "Mine.")
    assert started.line(told["thin b"]).verdict == "deliver"
    assert "deliver" not in verdicts(started, told["thin a"], told["full a"])


def test_a_fuller_body_through_the_other_hook_still_takes_its_place(started, dc):
    thin, full = dc.writes.comment_pair(
        "comment_created", dc.comment("Full."), dc.issue("CORE-1"), 9
    )
    events = [started.send(hook, thin) for hook in ("dc_a", "dc_b")]
    unwanted = started.send("dc_a", full)
    fuller = started.send("dc_b", full)
    delivered_once(started, "Full.")
    assert verdicts(started, fuller, unwanted) == ["deliver", "filtered"]
    assert [started.line(event).first for event in events] == [unwanted, fuller]


@pytest.mark.parametrize("together", [True, False])
def test_nobody_wants_it(anywhere, dc, together):
    anywhere.route("one", **{"from": ["dc_a"], "when": "project = PLAT"}, unknown=["drop"])
    anywhere.route("other", **{"from": ["dc_b"], "when": "project = CORE"}, unknown=["drop"])
    anywhere.start()
    body = dc.said(dc.comment(), dc.issue("X-1"))
    if together:
        events = anywhere.together(("dc_a", body), ("dc_b", body), ("dc_a", body))
    else:
        events = [anywhere.send(hook, body) for hook in ("dc_a", "dc_b", "dc_a")]
    anywhere.later(11)
    account = anywhere.finish()
    assert (account.deliveries, anywhere.sandbox.writes()) == ({}, [])
    assert set(verdicts(anywhere, *events)) <= {"filtered", "duplicate"}


@pytest.mark.parametrize("full_through", ["dc_a", "dc_b"])
def test_a_duplicate_names_what_was_sent(anywhere, dc, full_through):
    """Its `first` is the event that stands in the lane, when a fuller one took that place."""
    anywhere.start()
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 9)
    first, second = (anywhere.send(hook, thin) for hook in ("dc_a", "dc_b"))
    assert anywhere.line(second).first == first
    fuller = anywhere.send(full_through, full)
    anywhere.later(11)
    anywhere.finish()
    assert [anywhere.line(event).first for event in (first, second)] == [fuller, fuller]
