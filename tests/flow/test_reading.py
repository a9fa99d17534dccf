"""What is made of what Jira says: whether a comment is for all, which field changed, bad texts."""

import hmac

import orjson
import pytest

pytestmark = pytest.mark.enable_socket

INTERNAL = [{"key": "sd.public.comment", "value": {"internal": True}}]
SECRET = "Not for customers."


def verdict(scene, event):
    scene.finish()
    line = scene.line(event)
    return line.verdict, line.state


def sent(scene):
    return orjson.dumps([one.body for one in scene.sandbox.writes()])


def with_comment(body, **more):
    return {**body, "comment": {**body["comment"], **more}}


# --- internal comments of a service desk


@pytest.mark.parametrize(
    ("private", "expected"), [("drop", ("filtered", "")), ("keep", ("deliver", "delivered"))]
)
@pytest.mark.parametrize("name", ["said", "reworded"])
def test_a_comment_is_internal_by_its_property(scene, dc, name, private, expected):
    scene.route(comments={"private": private})
    scene.start()
    told = getattr(dc, name)(dc.comment(SECRET), dc.issue("CORE-1"))
    event = scene.send("dc_a", with_comment(told, properties=INTERNAL))
    scene.later(11)
    assert verdict(scene, event) == expected


@pytest.mark.parametrize("part", ["comment", "worklog"])
def test_an_internal_comment_does_not_leave_inside_its_issue(scene, dc, part):
    scene.start()
    body = dc.edited(dc.issue("CORE-1"))
    hidden = {"id": "1", "body": SECRET, "comment": SECRET, "properties": INTERNAL}
    shown = {"id": "2", "body": "For all.", "comment": "For all."}
    body["issue"]["fields"][part] = {f"{part}s": [hidden, shown]}
    event = scene.send("dc_a", body)
    assert verdict(scene, event) == ("deliver", "delivered")
    assert SECRET.encode() not in sent(scene)
    assert b"For all." in sent(scene)


@pytest.mark.parametrize(
    "properties",
    [
        [{"key": "sd.public.comment", "value": {"internal": False}}],
        [{"key": "sd.public.comment", "value": None}],
        [{"key": "another.one", "value": {"internal": True}}],
        [None],
        {},
    ],
)
def test_other_properties_make_no_comment_internal(scene, cloud, properties):
    scene.start()
    told = with_comment(cloud.said(cloud.comment(), cloud.issue()), properties=properties)
    assert verdict(scene, scene.send("cloud_a", told)) == ("deliver", "delivered")


@pytest.mark.parametrize("private", ["drop", "keep"])
def test_the_comment_of_a_deletion_is_never_sent(scene, dc, private):
    scene.route(comments={"private": private, "attribution": "{author}: {body}"})
    scene.start()
    issue, comment = dc.issue("CORE-1"), dc.comment(SECRET)
    kind = "issue_comment_deleted"
    alone = dc.writes.issue_updated(issue, comment.author, kind, comment=comment)
    beside = dc.writes.issue_updated(issue, comment.author, kind, dc.change(), comment)
    for body in (alone, beside):  # what the issue held when this was told is another matter
        body["issue"]["fields"]["comment"] = {"comments": [], "total": 0}
    assert verdict(scene, scene.send("dc_a", alone)) == ("filtered", "")
    assert verdict(scene, scene.send("dc_a", beside)) == ("deliver", "delivered")
    [written] = scene.sandbox.writes()
    assert "comment" not in written.body
    assert SECRET.encode() not in sent(scene)
    assert scene.sandbox.comments() == []


# --- custom fields named like Jira's own


def told_of(cloud, *items):
    """A body whose changelog has these items, each a mapping."""
    body = cloud.edited(cloud.issue("HR-3"))
    return {**body, "changelog": {"id": "77", "items": list(items)}}


CUSTOM = (
    {"fieldtype": "custom"},
    {"fieldtype": "custom", "fieldId": "customfield_10077"},
    {"fieldtype": "jira", "fieldId": "customfield_10077"},
)


@pytest.mark.parametrize("known", CUSTOM)
@pytest.mark.parametrize(
    "item",
    [
        {"field": "Project", "from": "10000", "fromString": "PLAT", "toString": "People"},
        {"field": "Key", "fromString": "PLAT-7", "toString": "HR-3"},
        {"field": "Predecessor", "fromString": "PLAT-7", "toString": "HR-3"},
    ],
)
def test_a_custom_field_called_project_or_key_is_no_move(scene, cloud, item, known):
    scene.route(when="project = PLAT")
    scene.start()
    event = scene.send("cloud_a", told_of(cloud, {**item, **known}))
    assert verdict(scene, event) == ("filtered", "")
    assert "moves: follow" not in scene.line(event).reason


@pytest.mark.parametrize("known", CUSTOM)
@pytest.mark.parametrize(
    ("when", "field", "old"),
    [
        ("status = Waiting", "Status", "Waiting"),
        ("issuetype = Incident", "issuetype", "Incident"),
        ("priority = P1", "Priority", "P1"),
    ],
)
def test_a_move_does_not_put_back_what_a_custom_field_was(scene, cloud, when, field, old, known):
    scene.route(when=f"project = PLAT AND {when}")
    scene.start()
    moved = {"field": "Key", "fieldId": "issuekey", "fromString": "PLAT-7", "toString": "HR-3"}
    other = {"field": field, "fromString": old, "toString": "x", **known}
    event = scene.send("cloud_a", told_of(cloud, moved, other))
    assert verdict(scene, event) == ("filtered", "")


@pytest.mark.parametrize("known", CUSTOM)
@pytest.mark.parametrize(
    ("when", "field"),
    [
        ("status CHANGED FROM Open", "Status"),
        ("priority WAS Open", "priority"),
        ("fixVersion WAS Open", "Fix Version"),
        ("fixVersion CHANGED", "Fix Version/s"),
    ],
)
def test_the_history_of_a_custom_field_is_no_history_of_jiras_own(scene, cloud, when, field, known):
    scene.route(when=when, unknown=["drop"])
    scene.start()
    item = {"field": field, "fromString": "Open", "toString": "Shut", **known}
    event = scene.send("cloud_a", told_of(cloud, item))
    assert verdict(scene, event) == ("filtered", "")
    own = {**item, "fieldtype": "jira"}
    own.pop("fieldId", None)
    body = told_of(cloud, own)
    body["changelog"]["id"] = "78"
    assert verdict(scene, scene.send("cloud_a", body)) == ("deliver", "delivered")


@pytest.mark.parametrize("known", CUSTOM)
def test_unmapped_drop_leaves_custom_fields_out_of_the_changelog(scene, cloud, known):
    scene.route(unmapped="drop")
    scene.start()
    own = {"field": "status", "fieldtype": "jira", "toString": "Done"}
    key = {"field": "Key", "fieldId": "issuekey", "fromString": "PLAT-7", "toString": "HR-3"}
    other = {"field": "Status", "toString": "x", **known}
    scene.send("cloud_a", told_of(cloud, own, key, other))
    scene.finish()
    [written] = scene.sandbox.writes()
    assert written.body["changelog"]["items"] == [own, key]


def test_a_move_is_still_a_move(scene, cloud):
    scene.route(when="project = PLAT")
    scene.start()
    item = {"field": "Ключ", "fieldtype": "jira", "fromString": "PLAT-7", "toString": "HR-3"}
    assert verdict(scene, scene.send("cloud_a", told_of(cloud, item))) == ("deliver", "delivered")


# --- half a character


def half(body, old):
    """Put half a surrogate pair, as JSON escapes it, where a text begins."""
    raw = orjson.dumps(body)
    assert old.encode() in raw
    return raw.replace(old.encode(), b"\\ud83d" + old.encode())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"a\ud83d b", "a\ufffd b"),
        (rb"a\ude00", "a\ufffd"),
        (rb"a\uD83D\u0041", "a\ufffdA"),
        (rb"a\ud83d\ud83d\ude00", "a\ufffd\U0001f600"),
        (rb"a\\ud83d \ud83d", "a\\ud83d \ufffd"),
        (rb"a\\\ud83d", "a\\\ufffd"),
    ],
)
def test_half_a_character_is_read_sent_and_noted(scene, cloud, written, read):
    scene.start()
    raw = orjson.dumps(cloud.said(cloud.comment("TEXT"), cloud.issue())).replace(b"TEXT", written)
    event = scene.send("cloud_a", raw)
    assert verdict(scene, event) == ("deliver", "delivered")
    assert "U+FFFD" in scene.line(event).reason
    assert scene.life(event).body == raw
    assert [one.text for one in scene.sandbox.comments()] == [read]
    again = scene.send("cloud_b", raw)
    assert verdict(scene, again) == ("duplicate", "")


def test_half_a_character_is_signed_as_it_came(scene, cloud):
    scene.hook("cloud_a", secret="It's a secret")
    scene.start()
    raw = half(cloud.created(cloud.issue()), "Export")
    signature = hmac.new(b"It's a secret", raw, "sha256").hexdigest()
    event = scene.send("cloud_a", raw, headers={"X-Hub-Signature": f"sha256={signature}"})
    assert verdict(scene, event) == ("deliver", "delivered")
    forged = scene.send("cloud_a", raw, headers={"X-Hub-Signature": "sha256=" + "0" * 64})
    assert verdict(scene, forged) == ("rejected", "")


def test_half_a_character_in_what_is_remembered(scene, cloud):
    scene.route(when="labels = backend")
    scene.start()
    issue = cloud.issue("PLAT-1", labels=("backend",))
    first = scene.send("cloud_a", half(cloud.created(issue), "Export"))
    scene.finish()
    event = scene.send("cloud_a", cloud.said(cloud.comment(), issue))
    assert verdict(scene, event) == ("deliver", "delivered")
    assert first in scene.line(event).reason


def test_half_a_character_while_a_fuller_telling_may_come(scene, dc):
    scene.start()
    event = scene.send("dc_a", half(dc.said(dc.comment("Yes."), dc.issue("CORE-1")), "Yes."))
    scene.later(11)
    assert verdict(scene, event) == ("deliver", "delivered")
    assert "U+FFFD" in scene.line(event).reason
    assert [one.text for one in scene.sandbox.comments()] == ["\ufffdYes."]


def test_more_halves_than_any_text_has_are_refused(scene, cloud):
    scene.start()
    raw = orjson.dumps(cloud.said(cloud.comment("TEXT"), cloud.issue()))
    event = scene.send("cloud_a", raw.replace(b"TEXT", rb"\ud83d" * 20_000))
    assert verdict(scene, event) == ("rejected", "")


def test_what_is_wrong_otherwise_stays_rejected(scene):
    scene.start()
    event = scene.send("cloud_a", rb'{"webhookEvent": "\ud83d" oops}')
    assert verdict(scene, event) == ("rejected", "")
    assert "not JSON" in scene.line(event).reason
