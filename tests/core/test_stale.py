"""What is left of an older telling: each rule by a table, and laws over all of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import change, comment, deletion, event, issue

from bridge.core.stale import Report, Standing, is_newer, judge, renewed, report_of, sources
from bridge.model import Effect

GONE = Effect(identity="issue:1:deleted", event="issue_deleted")


def setting(number, *names):
    return replace(change(number), sets=names)


def version(at, word="updated", **known):
    identity = f"comment:10:{word}:{at}"
    return comment(identity=identity, event=f"comment_{word}", of="comment:10", version=at, **known)


def telling(id, *effects, to="aha", **known):
    carried = {to: frozenset(effect.identity for effect in effects)} if to else {}
    return Report(**{"event": id, "state": True, "effects": effects, "carried": carried, **known})


def stood(mine, *others, identities=None):
    names = [effect.identity for effect in mine.effects] if identities is None else identities
    return judge(mine, names, others, "aha")


@pytest.mark.parametrize(
    ("state", "than", "newer"),
    [
        ((2, 0), (1, 0), True),
        ((1, 9), (2, 1), False),
        ((1, 2), (1, 1), True),
        ((1, 1), (1, 2), False),
        ((1, 1), (1, 1), False),
        ((1, 2), (1, 0), False),  # without a number there is no saying
        ((1, 0), (1, 2), False),
        ((2, 0), (0, 0), False),
        ((0, 2), (1, 1), False),
    ],
)
def test_which_state_is_newer(state, than, newer):
    one, other = (telling("e", as_of=a, change_id=n) for a, n in (state, than))
    assert is_newer(one, other) is newer
    assert not is_newer(replace(one, state=False), other)


def test_what_an_event_is_compared_by():
    told = event("e1", change(), as_of=5, change_id=7)
    assert report_of(told, {}) == Report(
        event="e1", as_of=5, change_id=7, state=True, full=True, effects=(change(),)
    )
    assert not report_of(event("e2", comment(), body={"issue": {"id": "1"}}), {}).state
    assert not report_of(event("e3", comment(), body={"issue": "?"}), {}).state
    assert report_of(event("e4", GONE, body={}), {}).state


def test_alone_or_first_it_goes_out_as_it_came():
    mine = telling("e1", setting(1, "status"), as_of=5)
    as_it_came = Standing(left=("change:1:1",))
    assert stood(mine) == as_it_came
    assert stood(mine, mine) == as_it_came
    assert stood(mine, telling("e0", setting(0, "status"), as_of=4)) == as_it_came


def test_what_was_set_again_is_left_out():
    mine = telling("e1", setting(1, "status", "priority"), as_of=1)
    newest = telling("e3", setting(3, "labels"), as_of=3)
    found = stood(mine, newest, telling("e2", setting(2, "status"), as_of=2))
    assert (found.left, found.newest, found.without) == (("change:1:1",), ("e3",), ("status",))
    found = stood(mine, newest, telling("e2", setting(2, "status", "priority"), as_of=2))
    assert (found.left, found.stale) == ((), {"change:1:1": "e2"})


def test_a_change_that_names_nothing_is_never_stale():
    found = stood(telling("e1", change(1), as_of=1), telling("e2", setting(2, "status"), as_of=2))
    assert (found.left, found.newest, found.without) == (("change:1:1",), ("e2",), ())


@pytest.mark.parametrize("to", ["", "crm"])
def test_what_went_elsewhere_makes_nothing_stale(to):
    mine = telling("e1", setting(1, "status"), version(1), as_of=1)
    others = telling("e2", setting(2, "status"), version(2), as_of=2, to=to)
    assert stood(mine, others) == Standing(left=tuple(e.identity for e in mine.effects))


def test_a_deletion_of_the_record_ends_everything_but_deletions():
    ended = telling("d1", GONE, as_of=2, to="")
    mine = telling("e1", setting(1, "status"), comment(), deletion(), as_of=1)
    found = stood(mine, ended)
    assert found.left == (deletion().identity,)
    assert set(found.stale.values()) == {"d1"}
    assert found.newest == ()
    assert stood(replace(mine, as_of=3), ended).stale == {}


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        (version(1), version(2), "stale"),
        (version(2), version(1), "as it came"),
        (version(1), version(1), "as it came"),
        (version(0), version(1), "as it came"),
        (version(1, "created"), version(2), "newest"),
        (version(1, "created"), version(2, "deleted"), "stale"),
        (version(1), version(2, "deleted"), "stale"),
        (version(1, "deleted"), version(2), "as it came"),
    ],
)
def test_versions_of_a_comment(mine, other, expected):
    found = stood(telling("e1", mine), telling("e2", other))
    assert bool(found.stale) == (expected == "stale")
    assert found.newest == (("e2",) if expected == "newest" else ())


def test_the_latest_version_is_taken():
    tellings = [
        telling("e2", version(2)),
        telling("e3", version(3)),
        telling("x", version(4), to=""),
    ]
    made = version(1, "created")
    found = sources(telling("e1", made), [made.identity], tellings, "aha")
    assert (found.part, found.version, found.newest) == ("comment", "e3", ("e3",))
    assert found.events == ("e3",)
    assert sources(telling("e1", made), [], tellings, "aha").events == ()


def test_fields_are_taken_from_the_newest_full_body_and_what_is_newer_still():
    tellings = [
        telling("full2", change(2), as_of=2, full=True),
        telling("six3", comment(3), as_of=3),
        telling("full4", change(4), as_of=4, full=True),
        telling("six5", comment(5), as_of=5),
        telling("gone", GONE, as_of=6),
    ]
    found = sources(telling("e1", comment(1), as_of=1), [], tellings, "aha")
    assert (found.fields, found.newest) == (("full4", "six5"), ("six5",))
    thin = telling("t1", comment(1), as_of=1, state=False)
    assert sources(thin, [], tellings, "aha").fields == ()


def test_a_body_is_renewed():
    made = version(1, "created")
    mine = telling("e1", setting(1, "status", "labels"), made, as_of=1)
    others = [
        telling("e2", setting(2, "status"), as_of=2, full=True),
        telling("e3", version(3), as_of=3),
        telling("e4", version(2), as_of=4),
    ]
    used = sources(mine, [e.identity for e in mine.effects], others, "aha")
    assert used.events == ("e2", "e3", "e4", "e3")
    assert used.newest == ("e4", "e3")
    body = {
        **issue("OLD-1", updated=1, status="Open", labels=["a"]),
        "comment": {"id": "10", "body": "first", "created": 1},
        "changelog": {"id": "1", "items": [{"fieldId": "status"}, {"fieldId": "labels"}]},
    }
    bodies = {
        "e2": issue("NEW-1", updated=2, status="Done"),
        "e3": {**issue("NEW-1", status="Closed"), "comment": {"id": "10", "body": "newest"}},
    }
    found = renewed(body, used, bodies)
    assert found["issue"]["key"] == "NEW-1"
    assert found["issue"]["fields"] == {
        **issue("NEW-1")["issue"]["fields"], "updated": 2, "status": "Closed", "labels": ["a"]
    }  # fmt: skip
    assert found["comment"] == {"id": "10", "body": "newest", "created": 1}
    assert found["changelog"] == {"id": "1", "items": [{"fieldId": "labels"}]}
    assert body["comment"]["body"] == "first"


def test_what_tells_six_fields_goes_on_telling_six():
    used = sources(telling("e1", as_of=1), [], [telling("e2", as_of=2, full=True)], "aha")
    body = {"issue": {"id": "1", "fields": {"status": "Open"}}}
    found = renewed(body, used, {"e2": {"issue": {"fields": {"status": "Done", "labels": []}}}})
    assert found["issue"]["fields"] == {"status": "Done"}


NAMES = st.lists(st.sampled_from("abcd"), unique=True, min_size=1)


@given(order=st.permutations(range(6)), names=st.lists(NAMES, min_size=6, max_size=6))
def test_whatever_the_order_each_field_is_told_its_newest_value_last(order, names):
    accepted, last = [], {}
    for n in order:
        mine = telling(f"e{n}", setting(n, *names[n]), as_of=n + 1)
        found = stood(mine, *accepted)
        if found.left:
            last.update(dict.fromkeys(set(names[n]) - set(found.without), n))
            accepted.append(mine)
    assert last == {name: max(n for n in range(6) if name in names[n]) for name in last}
    assert set(last) == {name for each in names for name in each}
