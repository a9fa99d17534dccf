"""What is delivered of what arrives, and why the rest is not."""

from dataclasses import replace

import orjson
import pytest

from bridge.demo.bodies import Item
from bridge.demo.stories import PEOPLE, SYNC
from bridge.sandbox import Integration

pytestmark = pytest.mark.enable_socket

MOVE = (
    Item(field="project", field_id="project", was=("10000", "Platform"), now=("10002", "People")),
    Item(field="Key", field_id="issuekey", was=(None, "PLAT-7"), now=(None, "HR-3")),
)


def second(scene, **more):
    """Add a destination `other`, in another account."""
    scene.bridge_yaml["destinations"]["other"] = scene.destination("callback-0002", **more)
    scene.sandbox.add(Integration(token="callback-0002", name="two", account="other"))


def verdict(scene, event):
    scene.finish()
    line = scene.line(event)
    return line.verdict, line.state


# --- the body that leaves


def test_what_leaves_is_the_body_as_the_integration_user(scene, cloud):
    scene.start()
    issue = cloud.issue("PLAT-1", assignee=PEOPLE[1])
    body = {**cloud.edited(issue, by=PEOPLE[2]), "token": "x", "action": "x", "webhook": {}}
    event = scene.send("cloud_a", body, headers={"X-Hook-Secret": "s"}, query_string={"a": "b"})
    scene.finish()
    [written] = scene.sandbox.writes()
    sent = written.body
    assert sent["user"]["emailAddress"] == "integration@acme.example"
    assert sent["issue"] == body["issue"]
    assert sent.keys() == body.keys() - {"token", "action", "webhook"}
    [attempt] = scene.life(event).attempts
    assert (attempt["outcome"], attempt["status"]) == ("delivered", 200)


def test_the_author_is_told_in_the_text(scene, cloud):
    scene.route(comments={"attribution": "{author} in Jira:\n\n{body}"})
    scene.start()
    scene.send("cloud_a", cloud.said(cloud.comment("Done."), cloud.issue()))
    scene.finish()
    assert [one.text for one in scene.sandbox.comments()] == ["Ana Duarte in Jira:\n\nDone."]


# --- which effects


def test_events_picks_effects_out_of_a_body(scene, cloud):
    scene.route(events=["comment_created"])
    scene.start()
    issue, comment = cloud.issue(), cloud.comment()
    both = cloud.writes.issue_updated(
        issue, comment.author, "issue_generic", cloud.change(), comment
    )
    event = scene.send("cloud_a", both)
    edit = scene.send("cloud_a", cloud.edited(issue))
    assert verdict(scene, event) == ("deliver", "delivered")
    assert verdict(scene, edit) == ("filtered", "")
    assert "issue_updated is not among" in scene.line(edit).reason
    [written] = scene.sandbox.writes()
    assert "changelog" not in written.body


def test_two_routes_carry_the_two_effects_of_one_body(scene, cloud):
    second(scene)
    scene.route("changes", events=["issue_updated"], to=["aha"])
    scene.route("comments", events=["comment_created"], to=["other"])
    scene.start()
    comment = cloud.comment()
    change = cloud.change()
    both = cloud.writes.issue_updated(
        cloud.issue(), comment.author, "issue_generic", change, comment
    )
    event = scene.send("cloud_a", both)
    scene.finish()
    told = {line.destination: (line.route, line.verdict) for line in scene.lines(event)}
    assert told == {"aha": ("changes", "deliver"), "other": ("comments", "deliver")}
    kinds = {one.integration: one.kind for one in scene.sandbox.writes()}
    assert kinds == {"integration": "record", "two": "comment"}


def test_events_about_no_record_are_let_go_unless_they_are_asked_for(scene, cloud):
    scene.start()
    sprint = cloud.writes.sprint("sprint_started", 37, "Sprint 12", 1_772_697_600_000)
    event = scene.send("cloud_a", sprint)
    assert verdict(scene, event) == ("filtered", "")
    assert "not about a record" in scene.line(event).reason
    scene.route(events=["sprint_started"])
    assert scene.reload()
    again = scene.send("cloud_a", {**sprint, "timestamp": 1_772_697_600_001})
    assert verdict(scene, again) == ("deliver", "delivered")


# --- the filter does not know


def six_fields(cloud, **more):
    """A full body of an issue, and a comment whose body holds six of its fields."""
    issue = cloud.issue("PLAT-1", **more)
    return cloud.created(issue), cloud.said(cloud.comment(), issue)


@pytest.mark.parametrize(
    ("labels", "expected"), [(("backend",), ("deliver", "delivered")), ((), ("filtered", ""))]
)
def test_what_is_remembered_decides(scene, cloud, labels, expected):
    scene.route(when="project = PLAT AND labels = backend")
    scene.start()
    full, comment = six_fields(cloud, labels=labels)
    first, event = scene.send("cloud_a", full), scene.send("cloud_b", comment)
    assert verdict(scene, event) == expected
    assert f"remembered from event {first} of 20" in scene.line(event).reason


def test_the_latest_body_is_the_one_remembered(scene, cloud):
    scene.route(when="labels = backend")
    scene.start()
    issue = cloud.issue("PLAT-1", labels=("backend",))
    scene.send("cloud_a", cloud.created(issue))
    scene.send("cloud_a", cloud.edited(replace(issue, labels=())))
    event = scene.send("cloud_a", cloud.said(cloud.comment(), issue))
    assert verdict(scene, event) == ("filtered", "")


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (["remember"], "deliver"),
        (["remember", "deliver"], "deliver"),
        (["remember", "drop"], "filtered"),
        ("drop", "filtered"),
        (["lookup", "drop"], "filtered"),
        (["lookup", "deliver"], "deliver"),
    ],
)
@pytest.mark.parametrize("jira", ["cloud", "dc"])
def test_the_last_word_where_nothing_is_remembered(scene, request, jira, unknown, expected):
    scene.route(when="labels = backend", unknown=unknown)
    scene.start()
    writer = request.getfixturevalue(jira)
    event = scene.send(f"{jira}_a", writer.said(writer.comment(), writer.issue("CORE-1")))
    scene.later(11)
    assert verdict(scene, event)[0] == expected
    reason = scene.line(event).reason
    assert "labels" in reason
    assert f"unknown: {'drop' if expected == 'filtered' else 'deliver'}" in reason
    assert ("nothing is remembered" in reason) is ("remember" in unknown)


def test_what_was_dropped_can_still_be_told_in_full(scene, dc):
    scene.route(when="priority = Major", unknown="drop")
    scene.start()
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 27)
    first = scene.send("dc_a", thin)
    scene.later(11)
    assert verdict(scene, first) == ("filtered", "")
    late = scene.send("dc_a", full)
    assert verdict(scene, late) == ("deliver", "delivered")


# --- moves, deletions


@pytest.mark.parametrize(
    ("moves", "expected"), [("follow", ("deliver", "delivered")), ("filter", ("filtered", ""))]
)
def test_a_move_out_of_the_filter(scene, cloud, moves, expected):
    scene.route(when="project = PLAT", moves=moves)
    scene.start()
    issue = cloud.issue("HR-3")
    moved = scene.send("cloud_a", cloud.edited(issue, *MOVE))
    after = scene.send("cloud_a", cloud.edited(issue))
    assert verdict(scene, moved) == expected
    assert verdict(scene, after) == ("filtered", "")


def test_a_move_from_one_unwanted_project_to_another(scene, cloud):
    scene.route(when="project = MOB")
    scene.start()
    event = scene.send("cloud_a", cloud.edited(cloud.issue("HR-3"), *MOVE))
    assert verdict(scene, event) == ("filtered", "")


def test_a_record_keeps_its_lane_when_its_key_changes(scene, cloud):
    scene.start(workers=4)
    issue = cloud.issue("PLAT-7")
    scene.sandbox.behave(latency_ms=30)
    scene.send("cloud_a", cloud.created(issue))
    scene.send("cloud_b", cloud.edited(replace(issue, key="HR-3"), *MOVE))
    scene.send("cloud_a", cloud.edited(issue))  # told late, under the old key
    scene.finish()
    assert [one.key for one in scene.sandbox.writes()] == ["PLAT-7", "HR-3", "PLAT-7"]
    assert scene.rows("SELECT count(*) FROM lanes") == [(1,)]


@pytest.mark.parametrize("jira", ["cloud", "dc"])
def test_a_deletion_with_all_that_hangs_on_it(scene, request, jira):
    scene.start()
    writer = request.getfixturevalue(jira)
    issue, comments = writer.issue("CORE-1"), [writer.comment(), writer.comment()]
    bodies = [writer.deleted(issue), *(writer.unsaid(comment, issue) for comment in comments)]
    for body in bodies:
        scene.send(f"{jira}_a", body)
        scene.send(f"{jira}_b", body)
    scene.later(11)
    scene.finish()
    written = [(one.kind, one.verb) for one in scene.sandbox.writes()]
    assert written == [("record", "deleted"), ("comment", "deleted"), ("comment", "deleted")]
    assert scene.account().events == {"deliver": 3, "duplicate": 3}


def test_what_is_told_of_a_comment_after_its_deletion_is_stale(scene, cloud):
    scene.start()
    issue, comment = cloud.issue(), cloud.comment()
    deleted = scene.send("cloud_a", cloud.unsaid(comment, issue))
    for body in (cloud.said(comment, issue), cloud.reworded(comment, issue)):
        late = scene.send("cloud_b", body)
        assert verdict(scene, late) == ("stale", "")
        assert deleted in scene.line(late).reason
        assert scene.line(late).first == deleted
    assert scene.sandbox.comments() == []


# --- echoes, private comments, places that are closed


@pytest.mark.parametrize("jira", ["cloud", "dc"])
def test_what_aha_did_in_jira_does_not_go_back(scene, request, jira):
    scene.start()
    writer = request.getfixturevalue(jira)
    issue = writer.issue("CORE-1")
    told = [
        writer.edited(issue, by=SYNC),
        writer.said(writer.comment(author=SYNC), issue),
        writer.said(writer.comment("Comment added by Bo in [Aha!|https://acme.aha.io/x]"), issue),
    ]
    events = [scene.send(f"{jira}_a", body) for body in told]
    scene.later(11)
    assert [verdict(scene, event) for event in events] == [("echo", "")] * 3
    assert "ignore.actors" in scene.line(events[0]).reason
    assert "added in Aha!" in scene.line(events[2]).reason
    assert scene.sandbox.writes() == []


@pytest.mark.parametrize("hidden", [{"role": "Administrators"}, {"internal": True}])
@pytest.mark.parametrize(
    ("private", "expected"), [("drop", ("filtered", "")), ("keep", ("deliver", "delivered"))]
)
def test_private_comments(scene, cloud, private, expected, hidden):
    scene.route(comments={"private": private})
    scene.start()
    event = scene.send("cloud_a", cloud.said(cloud.comment(**hidden), cloud.issue()))
    assert verdict(scene, event) == expected


def test_a_private_comment_does_not_leave_beside_a_change(scene, dc):
    scene.start()
    issue, comment = dc.issue("CORE-1"), dc.comment("Not for all.", role="Administrators")
    both = dc.writes.issue_updated(issue, comment.author, "issue_generic", dc.change(), comment)
    event = scene.send("dc_a", both)
    assert verdict(scene, event) == ("deliver", "delivered")
    [written] = scene.sandbox.writes()
    assert b"Not for all." not in orjson.dumps(written.body)
    assert b"Not for all." in scene.life(event).body


def test_nothing_is_sent_where_the_user_may_not_write(scene, cloud):
    scene.aha(workspaces=["MOB"])
    second(scene, workspaces=["PLAT"])
    scene.route(workspace="PLAT", to=["aha", "other"])
    scene.start()
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.finish()
    told = {line.destination: (line.verdict, line.reason) for line in scene.lines(event)}
    assert told["other"][0] == "deliver"
    name, reason = told["aha"]
    assert name == "forbidden"
    assert "may not write in the workspace PLAT" in reason
    assert [one.integration for one in scene.sandbox.writes()] == ["two"]


# --- several destinations


def test_two_destinations_get_each_effect_once_each(scene, cloud):
    second(scene)
    scene.route(to=["aha", "other"])
    scene.start()
    body = cloud.said(cloud.comment(), cloud.issue())
    first, again = scene.send("cloud_a", body), scene.send("cloud_b", body)
    scene.finish()
    assert {one.integration for one in scene.sandbox.comments()} == {"integration", "two"}
    assert len(scene.sandbox.comments()) == 2
    for event, name in ((first, "deliver"), (again, "duplicate")):
        told = {line.destination: line.verdict for line in scene.lines(event)}
        assert told == {"aha": name, "other": name}


def test_a_destination_that_is_gone_holds_up_no_other(scene, cloud):
    scene.bridge_yaml["destinations"]["other"] = scene.destination("callback-unknown")
    scene.route(to=["aha", "other"])
    scene.start()
    for number in range(5):
        scene.send("cloud_a", cloud.created(cloud.issue(f"PLAT-{number + 1}")))
    scene.until(lambda: len(scene.sandbox.writes()) == 5)
    scene.until(lambda: scene.account().destinations["other"]["paused"])
    scene.until(lambda: set(scene.account().open["other"]) <= {"queued", "retrying"})
    assert scene.account().destinations["aha"]["paused"] == ""


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.issue.fields.labels[?search(@, '^(a+)+$')]", ""),
        ("$..*..*..*..nothing", "was given up after 100,000 steps in this body"),
    ],
    ids=["a pattern", "a descent"],
)
def test_a_field_that_could_take_for_ever_holds_nothing_up(scene, cloud, path, reason):
    scene.route(fields=[{"from": path, "to": "$.issue.fields.customfield_20001"}])
    scene.start(workers=1)
    slow = scene.send(
        "cloud_a", cloud.created(cloud.issue("PLAT-1", labels=["a" * 60 + "!"] * 20_000))
    )
    scene.until(lambda: scene.state(slow) in ("delivered", "parked"))
    assert scene.state(slow) == ("parked" if reason else "delivered")
    assert reason in "".join(attempt["answer"] for attempt in scene.life(slow).attempts)
