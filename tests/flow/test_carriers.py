"""One comment told by two bodies: one delivery, of the fuller of them, in whatever order."""

import csv

import orjson
import pytest

pytestmark = pytest.mark.enable_socket

ORDERS = ["thin first", "full first"]


@pytest.fixture(params=["created", "edited"])
def pair(request, dc):
    """Make the two bodies by which Data Center tells of one comment."""

    def make(key="CORE-1", **of_comment):
        issue, comment = dc.issue(key), dc.comment(**of_comment)
        if request.param == "created":
            return dc.writes.comment_pair("comment_created", comment, issue, gap=27)
        return dc.writes.comment_pair("comment_updated", dc.edit(comment), issue)

    return make


def one_delivery(scene, *events):
    """Return (carrier, duplicate) of a pair, and hold the bridge to one delivery of it."""
    scene.later(11)  # a grace that still ran would be over
    scene.finish()
    lines = sorted((scene.line(event) for event in events), key=lambda line: line.verdict)
    assert [line.verdict for line in lines] == ["deliver", "duplicate"]
    carrier, duplicate = lines
    assert duplicate.first == carrier.event
    assert (carrier.state, duplicate.state) == ("delivered", "")
    assert len(scene.life(carrier.event).deliveries) == 1
    assert scene.life(duplicate.event).deliveries == ()
    assert scene.account().deliveries == {"delivered": scene.account().events["deliver"]}
    return carrier, duplicate


@pytest.mark.parametrize("order", ORDERS)
def test_the_fuller_body_is_delivered_once(scene, pair, order):
    scene.route(when="project = CORE")
    scene.start()
    thin, full = pair()
    posts = (thin, full) if order == "thin first" else (full, thin)
    events = [scene.send(hook, body) for hook, body in zip(("dc_a", "dc_b"), posts, strict=True)]
    carrier, _ = one_delivery(scene, *events)
    assert carrier.name == "jira:issue_updated"
    [written] = scene.sandbox.writes()
    assert written.body["comment"] == full["comment"]
    assert written.body["issue"] == full["issue"]


def test_pairs_posted_at_the_same_instant(scene, pair):
    scene.route(when="project = CORE")
    scene.start()
    for number in range(8):
        thin, full = pair(f"CORE-{number + 1}")
        one_delivery(scene, *scene.together(("dc_a", thin), ("dc_b", full)))
    assert {one.event for one in scene.sandbox.writes()} == {"jira:issue_updated"}
    assert len(scene.sandbox.writes()) == 8
    assert scene.sandbox.doubled() == 0


def test_four_tellings_at_the_same_instant(scene, pair):
    """Both bodies, through both registrations of the webhook."""
    scene.start()
    thin, full = pair()
    events = scene.together(("dc_a", thin), ("dc_b", full), ("dc_b", thin), ("dc_a", full))
    scene.later(11)
    scene.finish()
    verdicts = sorted(scene.line(event).verdict for event in events)
    assert verdicts == ["deliver", "duplicate", "duplicate", "duplicate"]
    [written] = scene.sandbox.writes()
    assert written.event == "jira:issue_updated"
    [carrier] = [line.event for line in scene.lines() if line.verdict == "deliver"]
    # What a thin one came before is its duplicate still, when a fuller one takes its place.
    first = {line.event: line.first for line in scene.lines() if line.verdict == "duplicate"}
    assert {first.get(one, one) for one in first.values()} == {carrier}


def test_a_thin_comment_waits_and_does_not_hold_up_other_records(scene, dc):
    scene.start()
    thin = scene.send("dc_a", dc.said(dc.comment(), dc.issue("CORE-1")))
    other = scene.send("dc_a", dc.created(dc.issue("CORE-2")))
    scene.until(lambda: scene.state(other) == "delivered")
    assert scene.line(thin).verdict == "undecided"
    assert scene.state(thin) == "queued"
    assert scene.asked().wait_ms > 1_000


def test_a_lone_thin_comment_goes_out_after_its_grace_with_its_issue(scene, dc):
    scene.start()
    issue = dc.issue("CORE-1")
    comment = dc.comment("Only told thinly.")
    event = scene.send("dc_a", dc.said(comment, issue))
    assert scene.line(event).verdict == "undecided"
    scene.later(9)
    assert scene.asked().leased is None
    scene.later(2)
    scene.finish()
    assert (scene.line(event).verdict, scene.state(event)) == ("deliver", "delivered")
    [written] = scene.sandbox.comments()
    assert written.body["issue"] == {"id": str(issue.id)}
    assert (written.record, written.text) == (str(issue.id), "Only told thinly.")


def test_a_fuller_body_after_the_grace_is_a_duplicate(scene, dc):
    scene.start()
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 27)
    first = scene.send("dc_a", thin)
    scene.later(11)
    scene.until(lambda: scene.state(first) == "delivered")
    late = scene.send("dc_a", full)
    assert (scene.line(late).verdict, scene.line(late).first) == ("duplicate", first)
    assert len(scene.sandbox.comments()) == 1


def test_later_events_of_the_record_wait_behind_a_thin_comment(scene, dc):
    scene.start()
    issue = dc.issue("CORE-1")
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), issue, 27)
    scene.send("dc_a", thin)
    scene.send("dc_a", dc.edited(issue))
    assert scene.asked().leased is None
    scene.send("dc_a", full)
    scene.finish()
    kinds = [one.kind for one in scene.sandbox.writes()]
    assert kinds == ["comment", "record"]


def test_a_thin_comment_ends_with_a_fuller_telling_that_is_filtered(scene, dc):
    scene.route(when="priority = Blocker")
    scene.start()
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 27)
    events = scene.send("dc_a", thin), scene.send("dc_a", full)
    assert [scene.line(event).verdict for event in events] == ["duplicate", "filtered"]
    assert scene.account().deliveries == {}


@pytest.mark.parametrize("order", ORDERS)
def test_a_filtered_pair_is_not_delivered_after_the_grace_either(scene, dc, order):
    scene.route(when="project = PLAT")
    scene.start()
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 27)
    for body in (thin, full) if order == "thin first" else (full, thin):
        scene.send("dc_a", body)
    scene.later(11)
    scene.finish()
    assert scene.sandbox.writes() == []
    assert "deliver" not in scene.account().events


def test_comments_of_cloud_do_not_wait(scene, cloud):
    scene.start()
    event = scene.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    scene.until(lambda: scene.state(event) == "delivered")
    assert len(scene.sandbox.comments()) == 1


def test_two_edits_are_two_deliveries(scene, dc):
    scene.start()
    issue, comment = dc.issue("CORE-1"), dc.comment()
    for text in ("First edit.", "Second edit."):
        comment = dc.edit(comment, text)
        for body in dc.writes.comment_pair("comment_updated", comment, issue):
            scene.send("dc_a", body)
    scene.finish()
    assert [one.text for one in scene.sandbox.writes()] == ["First edit.", "Second edit."]


def test_the_same_ids_of_another_site_are_other_comments(scene, cloud, dc):
    scene.start()
    issue, comment = cloud.issue("PLAT-1"), cloud.comment()
    scene.send("cloud_a", cloud.said(comment, issue))
    for body in dc.writes.comment_pair("comment_created", comment, issue, 10):
        scene.send("dc_a", body)
    scene.finish()
    assert len(scene.sandbox.comments()) == 2
    assert scene.sandbox.doubled() == 0


# --- a change and a comment in one body


def transition(jira):
    """A status change with a comment: one body tells both, another the comment again."""
    issue, comment = jira.issue("CORE-1"), jira.comment("Taking it.")
    both = jira.writes.issue_updated(issue, comment.author, "issue_generic", jira.change(), comment)
    return jira.said(comment, issue), both


@pytest.mark.parametrize("jira", ["cloud", "dc"])
def test_what_was_told_already_is_left_out(scene, request, jira):
    scene.start()
    alone, both = transition(request.getfixturevalue(jira))
    first = scene.send(f"{jira}_a", alone)
    scene.later(11)
    scene.until(lambda: scene.state(first) == "delivered")
    second = scene.send(f"{jira}_a", both)
    scene.finish()
    assert scene.line(second).verdict == "deliver"
    assert first in scene.line(second).reason
    sent = scene.sandbox.writes()[-1].body
    assert "comment" not in sent
    assert sent["changelog"] == both["changelog"]
    assert [one.kind for one in scene.sandbox.writes()] == ["comment", "record"]


@pytest.mark.parametrize("jira", ["cloud", "dc"])
def test_both_in_one_body_leave_nothing_to_the_other(scene, request, jira):
    scene.start()
    alone, both = transition(request.getfixturevalue(jira))
    first = scene.send(f"{jira}_a", both)
    second = scene.send(f"{jira}_b", alone)
    scene.finish()
    assert (scene.line(second).verdict, scene.line(second).first) == ("duplicate", first)
    assert [one.kind for one in scene.sandbox.writes()] == ["comment", "record"]


def test_a_waiting_comment_gives_way_to_the_body_that_tells_more(scene, dc):
    scene.start()
    alone, both = transition(dc)
    first, second = scene.send("dc_a", alone), scene.send("dc_b", both)
    scene.finish()
    assert scene.line(first).first == second
    [sent] = {id(one.body): one.body for one in scene.sandbox.writes()}.values()
    assert {"comment", "changelog"} <= sent.keys()


def test_both_of_them_told_before_is_a_duplicate(scene, dc):
    scene.start()
    _, both = transition(dc)
    first, again = scene.send("dc_a", both), scene.send("dc_b", both)
    scene.finish()
    assert (scene.line(again).verdict, scene.line(again).first) == ("duplicate", first)


# --- what real Jiras sent


def pairs(corpus):
    with (corpus / "PAIRS.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["comment_id_b"]]


@pytest.mark.parametrize("order", [*ORDERS, "at once"])
def test_captured_pairs(scene, corpus, order):
    found = pairs(corpus)
    assert len(found) >= 4
    for number, _ in enumerate(found):
        scene.bridge_yaml["hooks"][f"pair-{number}"] = {
            "source": "jira",
            "site": f"site-{number}",
            "token": f"captured-pair-{number:08}",
        }
    hooks = [name for name in scene.bridge_yaml["hooks"] if name.startswith("pair-")]
    scene.route(**{"from": hooks})
    scene.start()
    for hook, row in zip(hooks, found, strict=True):
        thin, full = ((corpus / row[name]).read_bytes() for name in ("file_a", "file_b"))
        if order == "at once":
            events = scene.together((hook, thin), (hook, full))
        else:
            bodies = (thin, full) if order == "thin first" else (full, thin)
            events = [scene.send(hook, body) for body in bodies]
        carrier, _ = one_delivery(scene, *events)
        assert carrier.name == "jira:issue_updated"
        assert scene.sandbox.writes()[-1].body["issue"]["fields"]
        assert scene.life(carrier.event).body == full
    assert len(scene.sandbox.writes()) == len(found)


def test_every_captured_body_is_kept_and_nothing_fails(scene, corpus, logged):
    with (corpus / "INDEX.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["authenticity"] == "captured"]
    scene.start()
    for row in rows:
        raw = (corpus / row["file"]).read_bytes()
        event = scene.send("dc_a" if row["flavor_guess"] == "Server/DC" else "cloud_a", raw)
        told = scene.life(event).event
        assert told["name"] == row["webhookEvent"]
        assert told["outcome"] != "rejected"
        assert orjson.loads(raw)
    scene.later(11)
    account = scene.finish()
    assert sum(account.events.values()) == len(rows)
    assert account.deliveries == {"delivered": account.events["deliver"]}
    assert {line["log_level"] for line in logged} <= {"debug", "info"}


def test_a_duplicate_that_is_fuller_than_the_first_is_remembered(scene, dc):
    """A comment went out without its issue; the full event that follows decides the next one."""
    scene.route(when="project = CORE AND labels = ui", unknown=["remember", "deliver"])
    scene.start()
    issue = dc.issue("CORE-1", labels=("ui",))
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), issue, gap=27)
    first = scene.send("dc_a", thin)
    scene.later(11)
    scene.until(lambda: scene.state(first) == "delivered")
    duplicate = scene.send("dc_a", full)
    assert scene.line(duplicate).first == first
    another, _ = dc.writes.comment_pair("comment_created", dc.comment(), issue, gap=27)
    second = scene.send("dc_a", another)
    scene.later(11)
    scene.until(lambda: scene.state(second) == "delivered")
    assert duplicate in scene.line(second).reason
