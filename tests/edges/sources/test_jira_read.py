"""What is made of one Jira body: the event's fields, and its effects by their identities."""

import re
from dataclasses import replace

import orjson
import pytest

from bridge import sources
from bridge.demo.bodies import Change, Comment, Issue, Item
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER, PEOPLE, SYNC
from bridge.errors import Unreadable
from bridge.model import Request
from bridge.sources.jira import EVENTS

jira = sources.get("jira")
BO = PEOPLE[1]
T = 1_772_697_600_000  # 2026-03-05T08:00:00Z

ISSUE = Issue(id=10001, key="PLAT-12", reporter=ANA, created=T, updated=T)
COMMENT = Comment(id=10042, author=BO, text="Yes.", created=T + 500, updated=T + 500)
EDITED = replace(COMMENT, text="No.", updated=T + 90_000)
STATUS = Change(id=20177, items=(Item(field="status", field_id="status"),))
MARK = "Comment added by Ana Duarte in [Aha!|https://acme.aha.io/features/PLAT-12]\n\nYes."


def read(body, query=None, **headers):
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    (event,) = jira.read(
        Request(
            id="7", hook="jira-main", site="acme", received=T, headers=named,
            query=query or {}, body=raw,
        )
    )  # fmt: skip
    return event


def ids(event):
    return [effect.identity for effect in event.effects]


def updated(kind="issue_updated", change=None, comment=None, jira=DATA_CENTER, **also):
    return jira.issue_updated(ISSUE, BO, kind, change, comment) | also


def without(body, *path):
    """Return a copy of a body without what the path leads to."""
    body = orjson.loads(orjson.dumps(body))
    *way, last = path
    node = body
    for step in way:
        node = node[step]
    del node[last]
    return body


# --- the event


def test_an_event_has_an_actor_a_record_a_time_and_a_site():
    body = CLOUD.issue_created(ISSUE, ANA, STATUS)
    event = read(body, x_atlassian_webhook_identifier="743", x_atlassian_webhook_retry="2")
    assert (event.id, event.hook, event.source, event.site) == ("7", "jira-main", "jira", "acme")
    assert (event.name, event.record, event.key) == ("jira:issue_created", "10001", "PLAT-12")
    assert (event.received, event.time) == (T, T + 14)
    assert (event.delivery_id, event.attempt) == ("743", 2)
    assert (event.full, event.thin, event.moved, event.empty) == (True, False, False, "")
    assert event.body == body


@pytest.mark.parametrize(
    ("jira", "handles"),
    [
        (CLOUD, {"ana duarte", "712020:5b10ac8d-a"}),
        (DATA_CENTER, {"ana duarte", "ana", "ana@acme.example"}),
    ],
)
def test_the_actor_goes_by_every_name_in_lower_case(jira, handles):
    event = read(jira.issue_created(ISSUE, ANA))
    assert (event.actor, event.handles) == ("Ana Duarte", handles)


def test_a_comment_has_its_editor_as_actor():
    body = DATA_CENTER.comment_event("comment_updated", EDITED, ISSUE, T)
    body["comment"]["updateAuthor"] = DATA_CENTER.person(ANA)
    assert read(body).actor == "Ana Duarte"
    assert read(without(body, "comment", "updateAuthor")).actor == "Bo Lindqvist"
    assert read(body | {"user": DATA_CENTER.person(SYNC)}).actor == "Aha! Sync"


def test_the_author_of_a_deleted_comment_is_not_the_actor():
    body = CLOUD.comment_event("comment_deleted", COMMENT, ISSUE, T)
    assert (read(body).actor, read(body).handles) == ("", frozenset())
    event = read(body, query={"triggeredByUser": "712020:X"})
    assert (event.actor, event.handles) == ("712020:X", {"712020:x"})


def test_a_new_user_did_not_make_themselves():
    event = read(DATA_CENTER.user_created(ANA, T), query={"user_id": "Bo", "user_key": "JIRAUSER1"})
    assert (event.actor, event.handles) == ("Bo", {"bo", "jirauser1"})


def test_names_of_people_are_one_bounded_line():
    body = updated(change=STATUS) | {"user": {"displayName": "A\nB\0" + "x" * 500, "name": 7}}
    assert read(body).actor == "A B " + "x" * 196


@pytest.mark.parametrize(("timestamp", "time"), [
    (T, T), (str(T), T), (float(T), T), ("2026-03-05T08:00:00.000+0000", T),
    ("2026-03-05T09:00:00.000+0100", T), ("2026-03-05T08:00:00", T), ("soon", None),
    (None, None), (True, None), (-1, None), (10**18, None), ([], None), ("9" * 90, None),
])  # fmt: skip
def test_an_instant_may_come_as_many_types(timestamp, time):
    assert read(updated(change=STATUS, timestamp=timestamp)).time == time


@pytest.mark.parametrize(("retry", "attempt"), [("1", 1), ("", 0), ("-1", 0), ("x", 0), ("٣", 0)])
def test_the_attempt_is_a_number(retry, attempt):
    assert read(updated(), x_atlassian_webhook_retry=retry).attempt == attempt


# --- which record


@pytest.mark.parametrize(
    "self",
    [
        "https://jira.example/rest/api/2/issue/10001/comment/10042",
        "http://10.0.0.1:8080/jira/rest/api/latest/issue/10001/comment/10042",
    ],
)
def test_data_center_names_the_issue_of_a_comment_only_in_a_link(self):
    body = DATA_CENTER.comment_event("comment_created", COMMENT, ISSUE, T)
    body["comment"]["self"] = self
    event = read(body)
    assert (event.record, event.key, event.thin, event.full) == ("10001", "", True, False)


def test_a_comment_event_of_cloud_has_six_fields_and_does_not_wait():
    event = read(CLOUD.comment_event("comment_created", COMMENT, ISSUE, T))
    assert (event.record, event.key, event.thin, event.full) == ("10001", "PLAT-12", False, False)


def test_nothing_fuller_follows_a_deletion():
    assert not read(DATA_CENTER.comment_event("comment_deleted", COMMENT, ISSUE, T)).thin


def test_a_worklog_names_its_issue():
    event = read(DATA_CENTER.worklog_created(31, ISSUE, BO, T))
    assert (event.record, event.thin, event.actor) == ("10001", False, "Bo Lindqvist")
    assert read(without(DATA_CENTER.worklog_created(31, ISSUE, BO, T), "worklog", "issueId")).record


@pytest.mark.parametrize(
    ("query", "record", "key"),
    [
        ({"id": "10001", "key": "PLAT-12"}, "10001", "PLAT-12"),
        ({"id": "10001", "issue": "PLAT-12"}, "10001", "PLAT-12"),
        ({"issue": "10001"}, "10001", ""),
        ({"id": "${issue.id}", "key": "${issue.key}"}, "", ""),
        ({"id": "٣", "key": "PLAT-"}, "", ""),
        ({}, "", ""),
    ],
)
def test_the_url_can_name_the_issue(query, record, key):
    event = read({"webhookEvent": "attachment_created", "attachment": {"id": 5}}, query)
    assert (event.record, event.key) == (record, key)


def test_the_body_knows_better_than_the_url():
    event = read(updated(change=STATUS), {"id": "9", "key": "HR-1"})
    assert (event.record, event.key) == ("10001", "PLAT-12")


def test_an_event_without_an_issue_is_about_no_record():
    body = DATA_CENTER.sprint("sprint_started", 37, "Sprint 12", T)
    assert read(body, {"id": "10001", "key": "PLAT-12"}).record == ""


def test_an_issue_link_is_about_its_source():
    link = {"id": 4, "sourceIssueId": 10001, "destinationIssueId": 10002}
    event = read({"webhookEvent": "issuelink_created", "issueLink": link})
    assert (event.record, ids(event)) == ("10001", ["issuelink:4:created"])


def test_a_boolean_is_no_id():
    assert read(updated(change=STATUS) | {"issue": {"id": True, "key": "PLAT-12"}}).record == ""


@pytest.mark.parametrize(
    ("fields", "full"),
    [
        ({"created": "x", "updated": "x"}, True),
        ({"created": "x", "summary": "x"}, False),
        ({"updated": "x", "summary": "x"}, False),
    ],
)
def test_a_body_is_full_with_the_instants_of_its_issues_creation_and_change(fields, full):
    assert read(updated() | {"issue": {"id": "1", "fields": fields}}).full is full


def test_numbers_are_ids_too():
    body = updated(change=STATUS)
    body["issue"]["id"], body["changelog"]["id"] = 10001, 20177
    assert ids(read(body)) == ids(read(updated(change=STATUS)))
    assert ids(read(body)) == ["change:20177:10001:2026-03-05T08:00"]


# --- moves


@pytest.mark.parametrize(
    ("item", "moved"),
    [
        (Item(field="project", field_id="project"), True),
        (Item(field="Projekt", field_id="project"), True),
        (Item(field="Key"), True),
        (Item(field="Schlüssel", field_id="issuekey"), True),
        (Item(field="Ключ", was=(None, "MOB-3"), now=(None, "PLAT-12")), True),
        (Item(field="Ключ", was=(None, "MOB-3"), now=(None, "PLAT-13")), False),
        (Item(field="summary", was=(None, "the key"), now=(None, "PLAT-12")), False),
        (Item(field="status", field_id="status"), False),
    ],
)
def test_a_move_is_known_in_any_language(item, moved):
    change = Change(id=1, items=(Item(field="status"), item))
    assert read(updated(change=change)).moved is moved


# --- comments: both carriers, one identity


@pytest.mark.parametrize("gap", [0, 10, 50])
@pytest.mark.parametrize(
    ("name", "comment", "identity"),
    [
        ("comment_created", COMMENT, r"comment:10042:created:2026-03-05T08:00"),
        ("comment_updated", EDITED, r"comment:10042:edited:1772697690.00:[0-9a-f]{32}"),
    ],
)
def test_both_events_of_data_center_are_one_effect(name, comment, identity, gap):
    thin, full = map(read, DATA_CENTER.comment_pair(name, comment, ISSUE, gap))
    assert ids(thin) == ids(full)
    assert re.fullmatch(identity, *ids(thin))
    assert thin.record == full.record
    assert [effect.part for effect in thin.effects + full.effects] == ["", "comment"]
    assert {effect.event for effect in thin.effects + full.effects} == {name}
    assert (thin.thin, full.thin, full.full) == (True, False, True)


def test_a_deletion_makes_the_rest_of_its_comment_stale():
    (deleted,) = read(CLOUD.comment_event("comment_deleted", EDITED, ISSUE, T)).effects
    assert deleted.identity == "comment:10042:deleted:2026-03-05T08:00"
    assert (deleted.event, deleted.stale_after, deleted.writes) == ("comment_deleted", "", True)
    for name, comment in (("comment_created", COMMENT), ("comment_updated", EDITED)):
        (effect,) = read(CLOUD.comment_event(name, comment, ISSUE, T)).effects
        assert (effect.stale_after, effect.writes) == (deleted.identity, True)


@pytest.mark.parametrize(
    ("created", "cells"),
    [
        ("2026-03-05T23:30:00.000-0800", [":2026-03-06T07:30"]),
        ("2026-03-05T00:30:00.000+0100", [":2026-03-04T23:30"]),
        ("2026-03-05T08:05:28.999+0000", [":2026-03-05T08:00"]),
        ("2026-03-05T08:05:29.000+0000", [":2026-03-05T08:00", ":2026-03-05T08:10"]),
        ("2026-03-05T08:05:30.999+0000", [":2026-03-05T08:10", ":2026-03-05T08:00"]),
        ("2026-03-05T08:05:31.000+0000", [":2026-03-05T08:10"]),
        (None, [""]),
        ("yesterday", [""]),
        ("9999-12-31T23:59:59.999+0000", [""]),
    ],
)
def test_a_comments_creation_is_identified_to_ten_minutes(created, cells):
    body = CLOUD.comment_event("comment_created", COMMENT, ISSUE, T)
    body["comment"]["created"] = created
    [effect] = read(body).effects
    known = [effect.identity, *effect.also]
    assert known == [f"comment:10042:created{cell}" for cell in cells]


@pytest.mark.parametrize(
    ("at", "cells"),
    [
        (0, ["00.00"]),
        (22, ["00.00"]),
        (23, ["00.00", "00.05"]),
        (26, ["00.05", "00.00"]),
        (27, ["00.05"]),
        (999, ["01.00"]),
    ],
)
def test_a_comments_edit_is_identified_to_a_twentieth_of_a_second(at, cells):
    comment = replace(EDITED, updated=T + at)
    [effect] = read(CLOUD.comment_event("comment_updated", comment, ISSUE, T)).effects
    known = [effect.identity, *effect.also]
    assert [name.rpartition(":")[0] for name in known] == [
        f"comment:10042:edited:17726976{cell}" for cell in cells
    ]


@pytest.mark.parametrize(
    ("kind", "comment", "event"),
    [
        ("issue_commented", EDITED, "comment_created"),
        ("issue_comment_edited", COMMENT, "comment_updated"),
        ("issue_generic", COMMENT, "comment_created"),
        ("issue_generic", EDITED, "comment_updated"),
        ("issue_resolved", replace(COMMENT, updated=COMMENT.updated + 1000), "comment_created"),
        ("", replace(COMMENT, updated=COMMENT.updated + 1001), "comment_updated"),
        ("", COMMENT, "comment_created"),
        (17, COMMENT, "comment_created"),
    ],
)
def test_the_kind_or_the_instants_of_an_update_show_whether_a_comment_is_new(kind, comment, event):
    body = updated(comment=comment) | {"issue_event_type_name": kind}
    assert [effect.event for effect in read(body).effects] == [event]


def test_a_comment_without_its_instants_is_new():
    body = without(updated("", comment=EDITED), "comment", "updated")
    assert ids(read(body)) == ["comment:10042:created:2026-03-05T08:00"]


def edit(**changes):
    body = CLOUD.comment_event("comment_updated", EDITED, ISSUE, T)
    body["comment"] |= changes
    return ids(read(body))


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "No.\r\n"},
        {"body": "No.  \n\n"},
        {"updated": "2026-03-05T09:01:30.001+0100"},
        {"updated": T + 90_000},
        {"jsdPublic": True},
        {"author": None},
        {"visibility": None},
    ],
)
def test_a_repeated_edit_is_the_same_edit(changes):
    assert edit(**changes) == edit()


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "No!"},
        {"body": "N o."},
        {"body": None},
        {"body": {"type": "doc", "version": 1, "content": []}},
        {"updated": "2026-03-05T08:01:30.050+0000"},
        {"jsdPublic": False},
        {"updated": None},
        {"visibility": {"type": "role", "value": "Administrators"}},
        {"visibility": {"type": "group", "value": None}},
        {"id": "10043"},
    ],
)
def test_another_edit_is_another(changes):
    assert edit(**changes) != edit()


def test_line_ends_inside_a_text_do_not_matter():
    assert edit(body="a\r\n\r\nb") == edit(body="a\n\nb") != edit(body="a\nb")


def test_rich_text_is_the_same_in_any_order_of_keys():
    rich = {"type": "doc", "version": 1, "content": [{"type": "text", "text": "No."}]}
    turned = {"content": [{"text": "No.", "type": "text"}], "version": 1, "type": "doc"}
    assert edit(body=rich) == edit(body=turned)


def test_a_comment_without_an_id_is_identified_by_its_content():
    bare = without(CLOUD.comment_event("comment_created", COMMENT, ISSUE, T), "comment", "id")
    other = orjson.loads(orjson.dumps(bare))
    other["comment"]["body"] = "Something else"
    assert ids(read(bare)) != ids(read(other))


@pytest.mark.parametrize(
    ("comment", "private"),
    [
        ({}, False),
        ({"visibility": {"type": "role", "value": "Administrators"}}, True),
        ({"visibility": {}}, True),
        ({"visibility": None}, False),
        ({"jsdPublic": False}, True),
        ({"jsdPublic": True}, False),
    ],
)
def test_a_restricted_comment_is_private_in_both_events(comment, private):
    for body in (
        CLOUD.comment_event("comment_created", COMMENT, ISSUE, T),
        updated("issue_commented", comment=COMMENT),
    ):
        body["comment"] |= comment
        assert [effect.private for effect in read(body).effects] == [private]


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        (MARK, True),
        ("\n" + MARK, True),
        (MARK.replace("in [Aha!|", "in [Jira|"), False),
        ("As the " + MARK, False),
        ("Comment added by Ana", False),
        ({"type": "doc"}, False),
        (None, False),
    ],
)
def test_aha_marks_its_own_comments(text, echo):
    for name in ("comment_created", "comment_updated"):
        body = CLOUD.comment_event(name, COMMENT, ISSUE, T)
        body["comment"]["body"] = text
        assert [bool(effect.echo) for effect in read(body).effects] == [echo]


def test_deleting_a_comment_of_ahas_is_no_echo():
    body = CLOUD.comment_event("comment_deleted", replace(COMMENT, text=MARK), ISSUE, T)
    assert [effect.echo for effect in read(body).effects] == [""]


# --- updates of an issue


def test_one_body_can_have_two_effects():
    event = read(updated("issue_generic", STATUS, COMMENT))
    assert ids(event) == [
        "change:20177:10001:2026-03-05T08:00",
        "comment:10042:created:2026-03-05T08:00",
    ]
    assert [effect.part for effect in event.effects] == ["changelog", "comment"]
    assert [effect.event for effect in event.effects] == ["issue_updated", "comment_created"]
    assert [effect.writes for effect in event.effects] == [False, True]


def test_created_and_changed_at_once_are_two_effects():
    created = read(CLOUD.issue_created(ISSUE, ANA, STATUS))
    changed = read(updated(change=STATUS))
    assert ids(created) == ["issue:10001:created:2026-03-05T08:00"]
    assert ids(changed) == ["change:20177:10001:2026-03-05T08:00"]


def test_an_issue_is_deleted_once():
    event = read(DATA_CENTER.issue_deleted(ISSUE, ANA, T))
    assert ids(event) == ["issue:10001:deleted:2026-03-05T08:00"]
    assert event.effects[0].event == "issue_deleted"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (updated(), "does not say what changed"),
        (updated(changelog={}), "does not say what changed"),
        (updated(changelog={"items": []}), "does not say what changed"),
        (updated(comment=None) | {"comment": ""}, "does not say what changed"),
        (updated("issue_commented"), "does not hold it"),
        (updated("issue_comment_edited"), "does not hold it"),
        (updated("issue_comment_deleted"), "which comment was deleted"),
        (updated("issue_comment_deleted", comment=COMMENT), "which comment was deleted"),
        ({"webhookEvent": "comment_created"}, "comment_created does not hold its comment"),
        ({"webhookEvent": "comment_deleted", "comment": []}, "does not hold its comment"),
        ({"webhookEvent": "jira:teapot_boiled"}, "jira:teapot_boiled is no event of Jira"),
        ({"webhookEvent": "jira:worklog_updated"}, "does not say what changed"),
    ],
)
def test_no_effects_come_with_the_reason(body, why):
    event = read(body)
    assert event.effects == ()
    assert why in event.empty


def test_a_changelog_without_an_id_is_known_by_its_lines_and_instant():
    bare = without(updated(change=STATUS), "changelog", "id")
    later = bare | {"timestamp": T + 50}
    other = bare | {"changelog": {"items": [{"field": "priority"}]}}
    assert len({*ids(read(bare)), *ids(read(later)), *ids(read(other))}) == 3
    assert ids(read(bare)) == ids(read(bare, {"user_id": "x"}))


def test_an_update_beside_a_worklog_is_a_change_of_the_issue():
    body = updated("issue_work_logged", STATUS) | {"webhookEvent": "jira:worklog_updated"}
    (effect,) = read(body).effects
    assert effect.identity == "change:20177:10001:2026-03-05T08:00"
    assert effect.event == "issue_updated"
    assert not effect.writes


# --- the others


def test_a_worklog_is_written_each_time():
    body = DATA_CENTER.worklog_created(31, ISSUE, BO, T)
    (effect,) = read(body).effects
    assert effect.identity == "worklog:31:created:2026-03-05T08:00"
    assert (effect.event, effect.writes, effect.private) == ("worklog_created", True, False)
    deleted = read(body | {"webhookEvent": "worklog_deleted"})
    assert ids(deleted) == ["worklog:31:deleted:2026-03-05T08:00"]
    body["worklog"]["visibility"] = {"type": "role", "value": "Developers"}
    assert read(body).effects[0].private


def test_an_attachment_comes_and_goes_once():
    body = {"webhookEvent": "attachment_created", "attachment": {"id": "9"}, "timestamp": T}
    assert ids(read(body)) == ids(read(body | {"timestamp": T + 5})) == ["attachment:9:created"]
    assert ids(read(body | {"webhookEvent": "attachment_deleted"})) == ["attachment:9:deleted"]


def test_a_property_set_back_is_set_again():
    def held(value, time, key="estimate"):
        body = {"webhookEvent": "issue_property_set", "issue": {"id": "10001"}, "timestamp": time}
        return ids(read(body | {"property": {"key": key, "value": value}}))

    told = [held(1, 1), held(2, 99), held(1, 200), held(1, 1, "x" * 200), held(1, 1, "x" * 201)]
    assert len({*map(str, told)}) == 5
    assert held({"a": 1, "b": 2}, 1) == held({"b": 2, "a": 1}, 1)


@pytest.mark.parametrize(("body", "identity"), [
    (CLOUD.sprint("sprint_closed", 37, "S", T), "sprint:37:sprint_closed:1772697600.00"),
    (CLOUD.version("jira:version_released", 4, "1", T), "version:4:version_released:1772697600.00"),
    (CLOUD.user_created(ANA, T), "user:712020:5b10ac8d-a:user_created:1772697600.00"),
    (DATA_CENTER.user_created(ANA, T), "user:ana:user_created:1772697600.00"),
    ({"webhookEvent": "project_created", "project": {"id": 1}, "timestamp": T},
     "project:1:project_created:1772697600.00"),
])  # fmt: skip
def test_an_event_about_another_thing_is_identified_by_id_and_instant(body, identity):
    event = read(body)
    assert (event.record, ids(event)) == ("", [identity])


def test_without_an_id_or_instant_it_is_known_by_the_whole_body():
    body = {"webhookEvent": "option_voting_changed", "property": {"value": "true"}, "timestamp": T}
    other = body | {"property": {"value": "false"}}
    assert ids(read(body)) != ids(read(other))
    assert ids(read(body)) == ids(read(body | {"matchedWebhookIds": [5]}))
    undated = {"webhookEvent": "sprint_started", "sprint": {"id": 3}}
    assert len(ids(read(undated))) == 1


def test_a_post_function_names_no_event():
    body = {"transition": {"transitionId": 11}, "comment": "", "issue": {"id": "10001"}}
    event = read(body | {"timestamp": T})
    assert (event.name, ids(event)) == ("transition", ["transition:10001:11:1772697600.00"])
    assert not event.effects[0].writes
    assert read(body | {"comment": "Done."}).effects[0].writes
    assert len(ids(read(body))) == 1


def test_every_known_event_has_effects_or_a_reason():
    for word in EVENTS:
        event = read({"webhookEvent": word, "timestamp": T})
        assert bool(event.effects) is not bool(event.empty)
        assert {effect.event for effect in event.effects} <= {*EVENTS}


# --- what cannot be read


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Exclude body"),
        (b" \n", "Exclude body"),
        (b"payload=%7B%7D", "not JSON: .*, line 1, column 1"),
        (b'{"webhookEvent": "jira:iss', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"webhookEvent": NaN}', "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'"jira:issue_updated"', "not an object"),
        (b"{}", "no webhookEvent"),
        (b'{"webhookEvent": null}', "no webhookEvent"),
        (b'{"transition": "Done"}', "no webhookEvent"),
        (b'{"webhookEvent": 7}', "not the name of an event"),
        (b'{"webhookEvent": ""}', "not the name of an event"),
        (b'{"webhookEvent": "a\\u0000b"}', "not the name of an event"),
        (b'{"webhookEvent": {"a": 1}}', "not the name of an event"),
        (b'{"webhookEvent": "' + b"x" * 101 + b'"}', "not the name of an event"),
        (b'{"a":' * 100 + b"{}" + b"}" * 100, "deeper than 100 levels"),
        (b'{"webhookEvent": "x", "a": ' + b"[" * 100 + b"]" * 100 + b"}", "deeper than 100 levels"),
        (b"[" * 5000, "deeper than 100 levels"),
    ],
)
def test_an_unreadable_body_is_refused_with_a_plain_reason(body, says):
    with pytest.raises(Unreadable, match=says):
        read(body)


def test_a_reason_repeats_nothing_of_the_body():
    with pytest.raises(Unreadable) as refusal:
        read(b'{"comment": "my password is 1234" oops')
    assert "1234" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_hundred_levels_and_many_objects_can_be_read():
    deep = b'{"webhookEvent": "x", "a": ' + b"[" * 99 + b"]" * 99 + b"}"
    assert read(deep).name == "x"
    wide = b'{"webhookEvent": "x", "a": [' + b",".join([b"{}"] * 500) + b"]}"
    assert read(wide).name == "x"
