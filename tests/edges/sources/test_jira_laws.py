"""Laws of reading Jira: nothing but `Unreadable` is raised, and retellings keep their identity."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import sources
from bridge.demo.bodies import Change, Comment, Issue, Item
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER, PEOPLE
from bridge.errors import Unreadable
from bridge.model import Request
from bridge.sources.jira import EVENTS

jira = sources.get("jira")
T = 1_772_697_600_000
ISSUE = Issue(id=10001, key="PLAT-12", reporter=ANA, created=T, updated=T)
COMMENT = Comment(id=10042, author=ANA, text="Yes.", created=T, updated=T)
ITEM = Item(field="Key", was=(None, "MOB-1"), now=(None, "PLAT-12"))
CHANGE = Change(id=20177, items=(ITEM,))

BODIES = (
    CLOUD.issue_created(ISSUE, ANA, CHANGE),
    DATA_CENTER.issue_updated(ISSUE, ANA, "issue_generic", CHANGE, COMMENT),
    DATA_CENTER.issue_deleted(ISSUE, ANA, T),
    *DATA_CENTER.comment_pair("comment_created", COMMENT, ISSUE),
    *DATA_CENTER.comment_pair("comment_updated", COMMENT, ISSUE),
    CLOUD.comment_event("comment_deleted", COMMENT, ISSUE, T),
    CLOUD.worklog_created(31, ISSUE, ANA, T),
    CLOUD.sprint("sprint_started", 37, "Sprint 12", T),
    CLOUD.user_created(ANA, T),
    {"webhookEvent": "issuelink_created", "issueLink": {"id": 1, "sourceIssueId": 2}},
    {"webhookEvent": "issue_property_set", "property": {"key": "k", "value": 1}},
    {"transition": {"transitionId": 1}, "issue": {"id": "1"}, "timestamp": T},
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text() | st.dates().map(str) | st.sampled_from(["", "0" * 5000, "\x00", "PLAT-1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def read(raw, **query):
    request = Request(id="1", hook="h", site="s", received=T, headers={}, query=query, body=raw)
    return jira.read(request)


def identities(body, **query):
    (event,) = read(orjson.dumps(body), **query)
    return [effect.identity for effect in event.effects]


def known_as(body):
    (event,) = read(orjson.dumps(body))
    return {name for effect in event.effects for name in (effect.identity, *effect.also)}


def places(node, at=()):
    """Return the way to every value of a body."""
    inside = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [at, *(place for name, child in inside for place in places(child, (*at, name)))]


def put(node, place, value):
    if not place:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[place[0]] = put(node[place[0]], place[1:], value)
    return copy


def accounted_for(raw, **query):
    """Read, and hold what comes to what the store needs of it."""
    try:
        (event,) = read(raw, **query)
    except Unreadable:
        return
    assert bool(event.effects) is not bool(event.empty)
    texts = [event.name, event.record, event.key, event.actor, event.delivery_id, *event.handles]
    for effect in event.effects:
        texts += [effect.identity, *effect.also, effect.stale_after, effect.formerly]
    assert all(len(text) <= 600 and text.isprintable() for text in texts)
    assert event.time is None or 0 <= event.time < 2**53
    assert all(effect.event in EVENTS for effect in event.effects)


@given(st.binary())
def test_any_bytes(raw):
    accounted_for(raw)


@given(JUNK, st.dictionaries(st.sampled_from(["id", "key", "issue", "user_id"]), st.text()))
def test_any_json(value, query):
    accounted_for(orjson.dumps(value), **query)


@given(st.data())
def test_any_parts_under_a_known_name(data):
    names = st.sampled_from(
        ["issue", "comment", "changelog", "user", "worklog", "property", "sprint"]
    )
    body = data.draw(st.dictionaries(names, JUNK))
    name = data.draw(st.sampled_from(EVENTS))
    accounted_for(orjson.dumps(body | {"webhookEvent": name, "timestamp": data.draw(JUNK)}))


@pytest.mark.parametrize(
    "wrong", [None, True, 0, -1.5, 1e300, "", "x", "\x00", [], {}, [{}], {"id": []}]
)
@pytest.mark.parametrize("body", BODIES)
def test_any_one_field_of_a_wrong_type(body, wrong):
    for place in places(body):
        if len(place) < 5:
            accounted_for(orjson.dumps(put(body, place, wrong)))


@given(st.data())
@settings(max_examples=150)
def test_any_fields_replaced(data):
    body = data.draw(st.sampled_from(BODIES))
    for _ in range(data.draw(st.integers(1, 3))):
        if isinstance(body, (dict, list)):
            body = put(body, data.draw(st.sampled_from(places(body))), data.draw(JUNK))
    accounted_for(orjson.dumps(body))


@given(st.sampled_from(BODIES), st.randoms(use_true_random=False))
def test_order_of_keys_registration_and_query_do_not_matter(body, random):
    def shuffled(node):
        if isinstance(node, list):
            return [shuffled(child) for child in node]
        if not isinstance(node, dict):
            return node
        return {name: shuffled(node[name]) for name in random.sample(list(node), len(node))}

    again = shuffled(body) | {"matchedWebhookIds": [random.randint(1, 9)]}
    assert identities(again, triggeredByUser="x") == identities(body)


comments = st.builds(
    Comment,
    id=st.integers(1, 10**9),
    author=st.sampled_from(PEOPLE),
    text=st.text(),
    created=st.integers(0, T),
    updated=st.integers(T, 2 * T),
    role=st.sampled_from(["", "Administrators"]),
)


@given(comments, st.integers(0, 60_000), st.sampled_from(["comment_created", "comment_updated"]))
def test_the_two_events_of_a_comment_are_one_effect(comment, gap, name):
    thin, full = DATA_CENTER.comment_pair(name, comment, ISSUE, gap)
    assert identities(thin) == identities(full)


def reads(comment):
    return comment.id, comment.text.replace("\r\n", "\n").rstrip(), comment.role


@given(comments, comments, st.integers(-60, 60))
def test_two_edits_are_one_only_if_they_read_the_same_at_the_same_instant(one, other, apart):
    def told(comment):
        return known_as(CLOUD.comment_event("comment_updated", comment, ISSUE, T))

    assert bool(told(one) & told(other)) <= (reads(one) == reads(other))
    again = replace(one, updated=max(one.updated + apart, 0))
    shared = told(one) & told(again)
    if abs(again.updated - one.updated) <= 2:
        assert shared
    elif abs(again.updated - one.updated) > 54:
        assert not shared


@given(comments, st.integers(-700_000, 700_000), st.integers(-1_000, 1_000))
def test_a_comment_is_created_once_however_its_instant_is_written(comment, later, apart):
    def told(created):
        of = replace(comment, created=max(created, 0))
        return known_as(CLOUD.comment_event("comment_created", of, ISSUE, T))

    assert told(comment.created) & told(comment.created + apart)
    if abs(later) > 602_000 and comment.created > 700_000:
        assert not told(comment.created) & told(comment.created + later)


@given(st.permutations(BODIES))
def test_one_identity_has_one_word(bodies):
    words = {}
    for body in bodies:
        (event,) = read(orjson.dumps(body))
        for effect in event.effects:
            assert words.setdefault(effect.identity, effect.event) == effect.event
