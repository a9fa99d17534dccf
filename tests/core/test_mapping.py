"""What is sent of a body: lines, what is left out, the author's name, the run-as user."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import model
from bridge.core.fields import FORBIDDEN
from bridge.core.mapping import compile_fields, outgoing, parts_left_out
from bridge.errors import BadField, Unmappable

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus" / "jira"

BODY = {
    "webhookEvent": "jira:issue_updated",
    "timestamp": 1714550400000,
    "user": {"name": "ada", "displayName": "Ada"},
    "issue": {
        "id": "10001",
        "key": "PLAT-7",
        "self": "https://acme.atlassian.net/rest/api/2/issue/10001",
        "renderedFields": {"description": "<p>secret</p>"},
        "fields": {
            "summary": "Pay by card",
            "status": {"name": "To Do"},
            "issuetype": {"name": "Story"},
            "project": {"key": "PLAT"},
            "assignee": {"displayName": "Ada"},
            "priority": {"id": "1", "name": "Highest"},
            "labels": ["web", "card"],
            "components": [{"name": "Shop"}, {"name": "Till"}],
            "fixVersions": [],
            "customfield_10016": 5.0,
            "customfield_10020": "yes",
            "customfield_10021": None,
            "customfield 'x'": "odd",
            "duedate": "2024-05-01",
            "comment": {"comments": [], "total": 0},
        },
    },
    "changelog": {
        "id": "20177",
        "items": [
            {"field": "priority", "fieldId": "priority", "toString": "Highest"},
            {"field": "Points", "fieldId": "customfield_10016", "toString": "5"},
            {"field": "Fix Version", "toString": "1.0"},
            {"field": "Key", "toString": "PLAT-7"},
            "no item",
        ],
    },
}
FIELDS = "$.issue.fields."
NOT_THERE = object()


def at(body, *path):
    for part in path:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return NOT_THERE
    return body


def mapped(line, body=BODY, unmapped="keep"):
    """The value that one line writes at issue.fields.new."""
    before = copy.deepcopy(body)
    result = compile_fields([{"to": FIELDS + "new", **line}], unmapped).apply(body)
    assert body == before, "the body that came was changed"
    return at(result, "issue", "fields", "new")


@pytest.mark.parametrize(
    ("line", "written"),
    [
        # from
        ({"from": FIELDS + "summary"}, "Pay by card"),
        ({"from": "$.issue.fields['customfield \\'x\\'']"}, "odd"),
        ({"from": "$['issue']['fields']['labels'][0]"}, "web"),
        ({"from": FIELDS + "labels[-1]"}, "card"),
        ({"from": FIELDS + "labels[9]"}, NOT_THERE),
        ({"from": FIELDS + "labels.name"}, NOT_THERE),
        ({"from": FIELDS + "priority"}, {"id": "1", "name": "Highest"}),
        ({"from": FIELDS + "labels"}, ["web", "card"]),
        ({"from": FIELDS + "labels[*]"}, ["web", "card"]),
        ({"from": FIELDS + "components[*].name"}, ["Shop", "Till"]),
        ({"from": "$..components[0].name"}, ["Shop"]),
        ({"from": FIELDS + "components[?@.name=='Till'].name"}, ["Till"]),
        ({"from": FIELDS + "components[?@.name=='Bar'].name"}, []),
        ({"from": FIELDS + "fixVersions[*].name"}, []),
        ({"from": FIELDS + "fixVersions[*].name", "join": ", "}, ""),
        ({"from": FIELDS + "fixVersions[*].name", "default": "none"}, "none"),
        ({"from": FIELDS + "fixVersions", "default": "none"}, []),
        ({"from": FIELDS + "absent[*].name"}, NOT_THERE),
        ({"from": FIELDS + "absent[*].name", "default": "none"}, "none"),
        ({"from": "$..absent"}, NOT_THERE),
        ({"from": FIELDS + "absent"}, NOT_THERE),
        ({"from": FIELDS + "customfield_10021"}, None),
        ({"from": FIELDS + "customfield_10021", "type": "number", "otherwise": "park"}, None),
        (
            {"from": FIELDS + "customfield_10021", "values": {"a": "b"}, "template": "{value}!"},
            None,
        ),
        # default
        ({"from": FIELDS + "absent", "default": "none"}, "none"),
        ({"from": FIELDS + "customfield_10021", "default": "none"}, "none"),
        ({"from": FIELDS + "summary", "default": "none"}, "Pay by card"),
        ({"from": FIELDS + "absent", "default": ["a", "b"], "join": "+"}, "a+b"),
        (
            {"from": FIELDS + "absent", "default": "x", "values": {"y": "z"}, "otherwise": "park"},
            "x",
        ),
        (
            {"from": FIELDS + "absent", "default": "y", "values": {"y": "z"}, "otherwise": "park"},
            "z",
        ),
        ({"from": FIELDS + "absent", "default": "7", "type": "number"}, 7),
        ({"default": "always"}, "always"),
        ({"default": False}, False),
        # values and otherwise
        ({"from": FIELDS + "priority.name", "values": {"Highest": "P0"}}, "P0"),
        ({"from": FIELDS + "priority.name", "values": {"High": "P1"}}, "Highest"),
        (
            {"from": FIELDS + "priority.name", "values": {"High": "P1"}, "otherwise": "keep"},
            "Highest",
        ),
        (
            {"from": FIELDS + "priority.name", "values": {"High": "P1"}, "otherwise": "drop"},
            NOT_THERE,
        ),
        (
            {"from": FIELDS + "priority.name", "values": {"a": 1}, "otherwise": {"value": "P9"}},
            "P9",
        ),
        (
            {"from": FIELDS + "priority.name", "values": {"a": 1}, "otherwise": {"value": None}},
            None,
        ),
        ({"from": FIELDS + "customfield_10016", "values": {5: "five"}}, "five"),
        ({"from": FIELDS + "customfield_10016", "values": {"5": "five"}}, "five"),
        ({"from": FIELDS + "priority", "values": {"1": "P0"}, "otherwise": {"value": "?"}}, "?"),
        ({"from": FIELDS + "labels", "values": {"web": "Web"}}, ["Web", "card"]),
        ({"from": FIELDS + "labels[*]", "values": {"web": "Web"}, "otherwise": "drop"}, ["Web"]),
        ({"from": FIELDS + "priority.name", "values": {"Highest": None}}, None),
        ({"from": FIELDS + "priority.name", "values": {"Highest": "1"}, "type": "integer"}, 1),
        (
            {
                "from": FIELDS + "priority.name",
                "values": {"Highest": ["1", "2"]},
                "type": "integer",
            },
            [1, 2],
        ),
        # type
        ({"from": FIELDS + "customfield_10016", "type": "text"}, "5"),
        ({"from": FIELDS + "customfield_10020", "type": "boolean"}, True),
        ({"from": FIELDS + "summary", "type": "number"}, "Pay by card"),
        ({"from": FIELDS + "summary", "type": "number", "otherwise": "drop"}, NOT_THERE),
        ({"from": FIELDS + "summary", "type": "number", "otherwise": {"value": 0}}, 0),
        ({"from": FIELDS + "summary", "type": "list"}, ["Pay by card"]),
        ({"from": FIELDS + "labels", "type": "list"}, ["web", "card"]),
        ({"from": FIELDS + "customfield_10021", "type": "list"}, None),
        ({"from": "$.timestamp", "type": "date"}, "2024-05-01"),
        # join and template
        ({"from": FIELDS + "labels[*]", "join": ", "}, "web, card"),
        ({"from": FIELDS + "labels", "join": ""}, "webcard"),
        ({"from": FIELDS + "summary", "join": ", "}, "Pay by card"),
        ({"from": FIELDS + "summary", "join": ", ", "type": "list"}, "Pay by card"),
        ({"default": [None, "a"], "join": ","}, "a"),
        ({"from": FIELDS + "customfield_10016", "template": "{value} pts"}, "5 pts"),
        ({"from": FIELDS + "labels", "template": "[{value}]"}, "[web, card]"),
        (
            {"from": FIELDS + "summary", "template": "{issue.key}: {$.user.name} {{x}} {no.such}"},
            "PLAT-7: ada {x} ",
        ),
        ({"default": "", "template": "{issue.fields.components.1.name}"}, "Till"),
        (
            {"default": "", "template": "{issue.fields.components.9.name}{issue.fields.labels.x}"},
            "",
        ),
        ({"from": FIELDS + "absent", "template": "{value}"}, NOT_THERE),
    ],
)
def test_a_line_writes_its_target(line, written):
    assert mapped(line) == written


@pytest.mark.parametrize("event", ["comment_created", "worklog_updated"])
def test_a_default_is_not_written_for_a_field_of_a_partial_body(event):
    partial = {"webhookEvent": event, "issue": {"id": "1", "fields": {"priority": None}}}
    assert mapped({"from": FIELDS + "absent", "default": 1}, partial) is NOT_THERE
    assert mapped({"from": "$..absent", "default": 1}, partial) == 1
    assert mapped({"from": FIELDS + "priority", "default": 1}, partial) == 1
    assert mapped({"from": "$.comment.absent", "default": 1}, partial) == 1
    assert mapped({"default": 1}, partial) == 1


def test_the_order_of_the_steps():
    line = {
        "from": FIELDS + "labels[*]",
        "values": {"web": "1", "card": 2.0},
        "type": "text",
        "join": "/",
        "template": "<{value}>",
    }
    assert mapped(line) == "<1/2>"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            {
                "from": FIELDS + "priority.name",
                "values": {"High": "P1", "Low": "P4"},
                "otherwise": "park",
            },
            (FIELDS + "new", "'Highest'", "High, Low"),
        ),
        (
            {
                "from": FIELDS + "summary",
                "values": dict.fromkeys(map(str, range(13)), 1),
                "otherwise": "park",
            },
            ("0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more",),
        ),
        (
            {"from": FIELDS + "summary", "type": "number", "otherwise": "park"},
            ("'Pay by card'", "not a number"),
        ),
        ({"from": FIELDS + "components", "join": ","}, (FIELDS + "new", "{'name': 'Shop'}")),
        ({"from": FIELDS + "components[0]", "template": "{value}"}, ("{'name': 'Shop'}",)),
        (
            {
                "default": "x" * 500,
                "values": {"y": 1},
                "type": "text",
                "template": "{issue.fields}",
            },
            ("…",),
        ),
        (
            {"from": FIELDS + "summary", "to": FIELDS + "labels.name"},
            (FIELDS + "labels.name", "labels", "object"),
        ),
        ({"from": FIELDS + "summary", "to": FIELDS + "priority[0]"}, ("priority", "list")),
        ({"from": FIELDS + "summary", "to": FIELDS + "summary.value"}, ("summary", "object")),
    ],
)
def test_values_that_park_a_delivery(line, words):
    mapper = compile_fields([{"to": FIELDS + "new", **line}])
    with pytest.raises(Unmappable) as caught:
        mapper.apply(BODY)
    for word in words:
        assert word in str(caught.value)


def test_a_body_too_deep_to_be_searched_parks():
    deep: dict = {}
    for _ in range(150):
        deep = {"a": deep}
    with pytest.raises(Unmappable, match="cannot be followed"):
        compile_fields([{"from": "$..b", "to": "$.c"}]).apply(deep)


@pytest.mark.parametrize(
    ("to", "path", "body"),
    [
        ("$.issue.fields.a.b.c", ("issue", "fields", "a", "b", "c"), BODY),
        ("$.issue.fields['b c'][0]", ("issue", "fields", "b c", 0), BODY),
        ("$.issue.fields.labels[1]", ("issue", "fields", "labels", 1), BODY),
        ("$.issue.fields.labels[4].name", ("issue", "fields", "labels", 4, "name"), BODY),
        (
            "$.issue.fields.customfield_10021.value",
            ("issue", "fields", "customfield_10021", "value"),
            BODY,
        ),
        ("$.issue.fields.x", ("issue", "fields", "x"), {}),
        ("$.comment.body", ("comment", "body"), {"comment": {"id": "1"}}),
    ],
)
def test_missing_objects_and_lists_of_a_target_are_created(to, path, body):
    before = copy.deepcopy(body)
    result = compile_fields([{"default": 1, "to": to}]).apply(body)
    assert at(result, *path) == 1
    assert body == before


def test_several_lines_may_write_side_by_side():
    result = compile_fields(
        [
            {"from": FIELDS + "priority", "to": "$.issue.fields.copied"},
            {"default": "P0", "to": "$.issue.fields.copied.name"},
            {"default": "x", "to": "$.issue.fields.copied.other"},
            {"from": FIELDS + "priority.name", "to": "$.issue.fields.summary"},
        ]
    ).apply(BODY)
    fields = result["issue"]["fields"]
    assert fields["copied"] == {"id": "1", "name": "P0", "other": "x"}
    assert fields["priority"] == {"id": "1", "name": "Highest"}, "lines read what came"
    assert fields["summary"] == "Highest"
    assert fields["components"] is BODY["issue"]["fields"]["components"], "the rest is shared"


def test_drop_takes_the_target_away_only():
    line = {"from": FIELDS + "priority.name", "values": {"a": "b"}, "otherwise": "drop"}
    result = compile_fields([{**line, "to": FIELDS + "priority.name"}]).apply(BODY)
    assert result["issue"]["fields"]["priority"] == {"id": "1"}
    result = compile_fields([{**line, "to": FIELDS + "labels[0]"}]).apply(BODY)
    assert result["issue"]["fields"]["labels"] == ["card"]


# --- unmapped: drop


def test_unmapped_drop_keeps_the_parts_that_name_the_record_and_the_targets_of_lines():
    lines = [
        {
            "from": FIELDS + "priority.name",
            "to": FIELDS + "priority.name",
            "values": {"Highest": "P0"},
        },
        {"from": FIELDS + "customfield_10016", "to": FIELDS + "customfield_20001"},
        {"from": FIELDS + "absent", "to": FIELDS + "labels"},
        {"default": "x", "to": "$.issue.note"},
        {"default": "x", "to": "$.extra"},
    ]
    before = copy.deepcopy(BODY)
    result = compile_fields(lines, "drop").apply(BODY)
    assert before == BODY
    assert result["issue"] == {
        "id": "10001",
        "key": "PLAT-7",
        "self": BODY["issue"]["self"],
        "note": "x",
        "fields": {
            "summary": "Pay by card",
            "status": {"name": "To Do"},
            "issuetype": {"name": "Story"},
            "project": {"key": "PLAT"},
            "priority": {"name": "P0"},
            "customfield_20001": 5.0,
        },
    }
    told = [item["field"] for item in result["changelog"]["items"]]
    assert told == ["priority", "Key"]
    assert result["changelog"]["id"] == "20177"
    assert (result["user"], result["timestamp"], result["extra"]) == (
        BODY["user"],
        BODY["timestamp"],
        "x",
    )


@pytest.mark.parametrize(
    "body",
    [{}, {"issue": None, "changelog": "x"}, {"issue": {"id": "1"}, "changelog": {"items": 3}}],
)
def test_unmapped_drop_of_odd_bodies(body):
    assert compile_fields([], "drop").apply(body) == body


def test_no_lines_change_nothing():
    assert compile_fields([]).apply(BODY) == BODY


# --- what cannot be compiled


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ({"frm": "$.a", "to": "$.b"}, "frm", "did you mean `from`?"),
        ({"from": "$.a", "to": "$.b", "zzz": 1}, "zzz", "known are: from, to"),
        ({"from": "$.a", "to": "$.b", 5: 1}, "5", "known are"),
        ({"to": "$.b"}, "from", "needs a `from`"),
        ({"from": "$.a"}, "to", "needs a `to`"),
        ({"from": "a.b", "to": "$.b"}, "from", "is no path"),
        ({"from": "$.a[", "to": "$.b"}, "from", "is no path"),
        ({"from": "$.a | $.b", "to": "$.b"}, "from", "is no path"),
        ({"from": "$", "to": "$.b"}, "from", "names no part"),
        ({"from": 5, "to": "$.b"}, "from", "a path such as"),
        ({"from": "$.a", "to": "$.b[*]"}, "to", "is not one place"),
        ({"from": "$.a", "to": "$..b"}, "to", "is not one place"),
        ({"from": "$.a", "to": "$.b['c','d']"}, "to", "is not one place"),
        ({"from": "$.a", "to": "$.b[-1]"}, "to", "is not one place"),
        ({"from": "$.a", "to": "$.b[1000]"}, "to", "is not one place"),
        ({"from": "$.a", "to": "$[0]"}, "to", "of its own"),
        ({"from": "$.a", "to": "$.b", "type": "money"}, "type", "none of text, number"),
        ({"from": "$.a", "to": "$.b", "type": ["text"]}, "type", "none of text, number"),
        ({"from": "$.a", "to": "$.b", "otherwise": "guess"}, "otherwise", "keep, drop, park"),
        (
            {"from": "$.a", "to": "$.b", "otherwise": {"value": 1, "x": 2}},
            "otherwise",
            "keep, drop",
        ),
        ({"from": "$.a", "to": "$.b", "otherwise": None}, "otherwise", "keep, drop"),
        ({"from": "$.a", "to": "$.b", "values": []}, "values", "is a map"),
        ({"from": "$.a", "to": "$.b", "values": {}}, "values", "is a map"),
        ({"from": "$.a", "to": "$.b", "values": {None: 1}}, "values", "no text"),
        ({"from": "$.a", "to": "$.b", "values": {5: 1, "5": 2}}, "values", "twice"),
        (
            {"from": "$.a", "to": "$.b", "values": {"x": "y"}, "type": "number"},
            "values",
            "not a number",
        ),
        ({"from": "$.a", "to": "$.b", "default": "y", "type": "number"}, "default", "not a number"),
        ({"from": "$.a", "to": "$.b", "join": 1}, "join", "is a text"),
        ({"from": "$.a", "to": "$.b", "template": 1}, "template", "is a text"),
        ({"from": "$.a", "to": "$.b", "template": "{value"}, "template", "names nothing"),
        ({"from": "$.a", "to": "$.b", "template": "value}"}, "template", "names nothing"),
        ({"from": "$.a", "to": "$.b", "template": "{}"}, "template", "names nothing"),
        ({"from": "$.a", "to": "$.b", "template": "{$.}"}, "template", "names nothing"),
    ],
)
def test_lines_that_cannot_be_used(line, name, words):
    with pytest.raises(BadField) as caught:
        compile_fields([line])
    assert caught.value.name == name
    assert words in str(caught.value)


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_names_that_mislead_aha_cannot_be_written(name):
    with pytest.raises(BadField, match=name):
        compile_fields([{"default": 1, "to": f"$.{name}.x"}])


def test_unmapped_is_keep_or_drop():
    with pytest.raises(BadField) as caught:
        compile_fields([], "forget")
    assert caught.value.name == "unmapped"


# --- outgoing

TARGET = model.Target(
    name="aha",
    kind="aha",
    url="https://acme.aha.io",
    token="secret",
    run_as=model.RunAs(name="Integration user", email="integration@acme.example"),
)


def route(lines=(), unmapped="keep", attribution="", private="drop"):
    return model.Route(
        name="r",
        hooks=(),
        destinations=(),
        filters={},
        mapper=compile_fields(lines, unmapped),
        comments=model.Comments(private=private, attribution=attribution),
    )


def sent(body, *, record="10001", key="PLAT-7", drop=(), **how):
    before = copy.deepcopy(body)
    result = outgoing(body, record=record, key=key, drop=drop, route=route(**how), target=TARGET)
    assert body == before, "the body that came was changed"
    return result


def test_the_acting_user_becomes_the_run_as_user_and_people_in_fields_stay():
    result = sent(BODY)
    assert result["user"] == {
        "name": "Integration user",
        "emailAddress": "integration@acme.example",
        "displayName": "Integration user",
        "active": True,
    }
    assert {**result, "user": 0} == {**BODY, "user": 0}


def test_a_comment_keeps_its_author_and_gets_the_user_it_lacks():
    author = {"displayName": "Bo", "emailAddress": "bo@acme.example"}
    body = {
        "webhookEvent": "comment_created",
        "comment": {"id": "1", "body": "hi", "author": author},
    }
    result = sent(body)
    assert result["comment"] == body["comment"]
    assert result["user"]["name"] == "Integration user"


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_names_that_mislead_aha_are_not_sent(name):
    assert name not in sent({**BODY, name: "x"})


def test_parts_that_another_delivery_carries_are_left_out():
    body = {**BODY, "comment": {"id": "1", "body": "hi"}}
    assert "comment" not in sent(body, drop={"comment"})
    assert "changelog" not in sent(body, drop=["changelog", "token"])
    assert sent(body, drop=["changelog"], attribution="{body}")["comment"]["body"] == "hi"


@pytest.mark.parametrize(
    ("body", "record", "key", "issue"),
    [
        ({}, "10001", "PLAT-7", {"id": "10001", "key": "PLAT-7"}),
        ({}, "10001", "", {"id": "10001"}),
        ({"issue": None}, "10001", "", {"id": "10001"}),
        ({"issue": {"id": "", "fields": {}}}, "10001", "", {"id": "10001", "fields": {}}),
        ({"issue": {"id": "9", "key": "OLD-1"}}, "9", "NEW-1", {"id": "9", "key": "OLD-1"}),
        ({}, "", "", NOT_THERE),
        ({}, "", "PLAT-7", NOT_THERE),
    ],
)
def test_the_record_is_named_where_the_body_does_not(body, record, key, issue):
    assert at(sent(body, record=record, key=key), "issue") == issue


def test_lines_see_the_record_named_and_not_the_private():
    private = {"id": "1", "body": "psst", "visibility": {"type": "role", "value": "Admins"}}
    body = {"issue": {"fields": {"comment": {"comments": [private, {"id": "2", "body": "open"}]}}}}
    lines = [
        {"from": "$.issue.key", "to": "$.issue.fields.k"},
        {"from": "$..comments[*].body", "to": "$.issue.fields.all"},
    ]
    fields = sent(body, lines=lines)["issue"]["fields"]
    assert (fields["k"], fields["all"]) == ("PLAT-7", ["open"])


@pytest.mark.parametrize(
    ("held", "private"),
    [
        ({"visibility": {"type": "role", "value": "Admins"}}, True),
        ({"jsdPublic": False}, True),
        ({"jsdPublic": True}, False),
        ({"properties": [{"key": "sd.public.comment", "value": {"internal": True}}]}, True),
        ({"visibility": None}, False),
        ({}, False),
        ("odd", False),
    ],
)
@pytest.mark.parametrize("path", [("comment", "comments"), ("worklog", "worklogs")])
def test_private_comments_inside_of_an_issue(path, held, private):
    outer, inner = path
    body = {"issue": {"id": "1", "fields": {outer: {inner: ["first", held], "total": 2}}}}
    assert sent(body)["issue"]["fields"][outer][inner] == (
        ["first"] if private else ["first", held]
    )
    assert sent(body, private="keep")["issue"]["fields"] == body["issue"]["fields"]


@pytest.mark.parametrize(
    ("comment", "held", "left"),
    [
        ({"id": "7"}, [{"id": "7"}, {"id": "8"}, "odd"], [{"id": "8"}, "odd"]),
        ({}, [{"id": "7"}], [{"id": "7"}]),
        (None, [{"id": "7"}], [{"id": "7"}]),
        ({"id": "7"}, {}, {}),
    ],
)
def test_a_deleted_comment_is_nowhere_in_the_sent_body(comment, held, left):
    body = {"issue": {"id": "1", "fields": {"comment": {"comments": held}}}, "comment": comment}
    result = sent(body | {"issue_event_type_name": "issue_comment_deleted"}, private="keep")
    assert "comment" not in result
    assert result["issue"]["fields"]["comment"]["comments"] == left


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        ({"body": "hi", "author": {"displayName": "Bo", "name": "b"}}, "Bo in Jira:\n\nhi"),
        ({"body": "hi", "author": {"displayName": "", "name": "b"}}, "b in Jira:\n\nhi"),
        ({"body": "hi", "author": {"emailAddress": "bo@x.example"}}, "bo@x.example in Jira:\n\nhi"),
        ({"body": "hi", "author": {"accountId": "5b10"}}, "Anonymous in Jira:\n\nhi"),
        ({"body": "hi"}, "Anonymous in Jira:\n\nhi"),
        ({"body": None, "author": "?"}, "Anonymous in Jira:\n\n"),
        (
            {
                "body": "{author}",
                "author": {"displayName": "{body}"},
                "updateAuthor": {"name": "c"},
            },
            "{body} in Jira:\n\n{author}",
        ),
        (
            {
                "body": {
                    "type": "doc",
                    "content": [
                        {"type": "paragraph", "content": [{"type": "text", "text": "rich"}]}
                    ],
                },
                "author": {"displayName": "Bo"},
            },
            "Bo in Jira:\n\nrich",
        ),
    ],
)
def test_attribution(comment, text):
    result = sent({"comment": comment}, attribution="{author} in Jira:\n\n{body}")
    assert result["comment"] == {**comment, "body": text}
    assert sent({"comment": comment})["comment"] == comment


def test_attribution_may_hold_other_braces_and_needs_a_comment():
    assert (
        sent({"comment": {"body": "hi"}}, attribution="{x} {body} }{")["comment"]["body"]
        == "{x} hi }{"
    )
    assert sent({"comment": "a transition's"}, attribution="{body}")["comment"] == "a transition's"
    assert "comment" not in sent({}, attribution="{body}")


# --- laws

names = st.sampled_from(["issue", "fields", "a", "b", "labels", "comment", "user"])
bodies = st.dictionaries(
    names,
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=20,
    ),
    max_size=5,
)
paths = st.lists(names | st.integers(0, 3), min_size=1, max_size=4).map(
    lambda parts: ["a", *parts] if isinstance(parts[0], int) else parts
)


def written(path):
    return "$" + "".join(f"[{json.dumps(part)}]" for part in path)


@settings(max_examples=150)
@given(bodies, paths, paths, st.sampled_from(["keep", "drop"]))
def test_no_body_is_changed_and_every_written_value_is_found(body, source, target, unmapped):
    before = copy.deepcopy(body)
    mapper = compile_fields([{"from": written(source), "to": written(target)}], unmapped)
    try:
        result = mapper.apply(body)
    except Unmappable:
        pass
    else:
        found = at(body, *source)
        if found is not NOT_THERE and not isinstance(at(body, *source[:-1]), str):
            assert at(result, *target) == found
    assert body == before


@settings(max_examples=80)
@given(bodies)
def test_whatever_comes_is_sent_or_parked(body):
    result = sent(body, attribution="{author}: {body}", unmapped="drop")
    assert json.loads(json.dumps(result)) == result


def test_recorded_bodies_go_out_whole():
    files = sorted(CORPUS.glob("*.json"))
    if not files:
        pytest.skip("the recorded bodies are not here")
    for file in files:
        body = json.loads(file.read_bytes())
        if isinstance(body, dict):
            result = sent(body, private="keep")
            kept = {
                name: part
                for name, part in body.items()
                if name not in FORBIDDEN | {"user", "issue"}
            }
            assert {name: result[name] for name in kept} == kept, file.name
            assert result["issue"]["id"], file.name


def test_a_part_is_left_out_when_other_deliveries_carry_all_its_effects():
    parts = [("change", ""), ("created", "comment"), ("edited", "comment"), ("moved", "transition")]
    assert parts_left_out(parts, {"change", "edited"}) == {"transition"}
    assert parts_left_out(parts, {"change"}) == {"comment", "transition"}
    assert parts_left_out(parts, {"created", "moved"}) == frozenset()
