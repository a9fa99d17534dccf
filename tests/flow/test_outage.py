"""Aha! or the database is away, or will not have it: nothing is lost, doubled or overtaken."""

import hashlib
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from bridge.model import State
from bridge.sandbox import Integration
from bridge.store import operators
from bridge.store.queue import destinations
from bridge.store.schema import deliveries

pytestmark = pytest.mark.enable_socket


HASH_OF_0002 = hashlib.sha256(b"callback-0002").hexdigest()


def busy(scene, jira, records=4):
    """Post three events of each of several records; returns the ids, record by record."""
    issues = [jira.issue(f"PLAT-{number + 1}") for number in range(records)]
    events = [[scene.send("cloud_a", jira.created(issue))] for issue in issues]
    for one, issue in zip(events, issues, strict=True):
        one.append(scene.send("cloud_b", jira.said(jira.comment(), issue)))
    for one, issue in zip(events, issues, strict=True):
        one.append(scene.send("cloud_a", jira.edited(issue)))
    return events


def until_tried(scene, times):
    """Wait until so many attempts were noted, whatever came of them."""
    scene.until(lambda: scene.rows("SELECT count(*) FROM attempts")[0][0] >= times)


def calm(scene):
    """Wait until nothing is being sent."""
    scene.until(lambda: "sending" not in scene.account().deliveries)


def all_in_order(scene):
    """Hold the bridge to have delivered everything, once each, in the order of each record."""
    account = scene.finish()
    assert account.deliveries == {"delivered": account.events["deliver"]}
    assert scene.sent() == scene.queued()
    assert scene.sandbox.doubled() == 0


# --- Aha! is away


def test_aha_is_down_for_all_of_it(scene, cloud):
    scene.sandbox.behave(down=True)
    scene.start()
    busy(scene, cloud, records=6)
    for _ in range(6):
        before = scene.rows("SELECT count(*) FROM attempts")[0][0]
        until_tried(scene, before + 1)
        calm(scene)
        scene.later(301)
    until_tried(scene, before + 2)
    calm(scene)
    assert scene.sandbox.writes() == []
    assert scene.account().deliveries.keys() <= {"queued", "sending", "retrying"}
    gate = scene.account().destinations["aha"]
    assert gate["failures"] >= 5, "the breaker is open"
    assert gate["paused"] == ""
    scene.sandbox.behave(down=False)
    # However long the waits had grown: what comes through first takes all the others with it.
    scene.later(301)
    all_in_order(scene)
    assert scene.account().destinations["aha"]["failures"] == 0


def test_nobody_listens_at_the_address_of_aha(scene, cloud):
    address = scene.sandbox.url
    scene.sandbox.stop()
    scene.start()
    events = busy(scene, cloud, records=2)
    until_tried(scene, 2)
    assert set(scene.outcomes(events[0][0])) == {"not_sent"}
    scene.sandbox.start(port=int(address.rpartition(":")[2]))
    scene.later(601)
    all_in_order(scene)


def test_a_breaker_leaves_the_destination_alone(scene, cloud):
    scene.sandbox.behave(down=True)
    scene.start(workers=1)
    busy(scene, cloud, records=6)
    until_tried(scene, 5)
    assert scene.asked().leased is None
    assert scene.asked().wait_ms > 5_000
    assert scene.rows("SELECT count(*) FROM attempts") == [(5,)]


def test_500s_are_repeated_with_ever_longer_waits(scene, cloud):
    scene.sandbox.behave(fail_share=1.0, fail_status=500)
    scene.start()
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    for tries in (1, 2, 3):
        scene.until(lambda: len(scene.outcomes(event)) == tries)  # noqa: B023
        scene.until(lambda: scene.state(event) == "retrying")
        [(at,)] = scene.rows("SELECT next_at FROM lanes")
        assert 500 <= at - scene.clock() <= 5_000 * 2 ** (tries - 1)
        scene.later(21)
    scene.sandbox.behave(fail_share=0.0)
    scene.later(300)
    scene.finish()
    assert set(scene.outcomes(event)[:-1]) == {"failed"}
    assert scene.outcomes(event)[-1] == "delivered"
    assert [attempt["status"] for attempt in scene.life(event).attempts][:3] == [500, 500, 500]


def test_every_third_request_fails(scene, cloud):
    scene.sandbox.behave(fail_share=0.34)
    scene.start()
    busy(scene, cloud)
    scene.until(lambda: scene.later(5) or not scene.account().open)
    all_in_order(scene)
    assert any(outcome == "failed" for (outcome,) in scene.rows("SELECT outcome FROM attempts"))


# --- 429


def test_a_pause_that_was_asked_for_is_kept_by_all_records(scene, cloud):
    scene.sandbox.behave(fail_status=429, fail_share=1.0, retry_after=40)
    scene.start(workers=1)
    busy(scene, cloud)
    until_tried(scene, 1)
    assert scene.account().destinations["aha"]["blocked_until"] >= scene.clock() + 39_000
    scene.sandbox.behave(fail_share=0.0)
    scene.later(38)
    asked = scene.asked()
    assert (asked.leased, asked.wait_ms > 500) == (None, True)
    assert scene.rows("SELECT count(*) FROM attempts") == [(1,)]
    scene.later(8)
    all_in_order(scene)
    assert Counter(row[0] for row in scene.rows("SELECT outcome FROM attempts")) == {
        "throttled": 1,
        "delivered": 12,
    }


def test_a_pause_of_one_destination_is_none_of_another(scene, cloud):
    scene.sandbox.add(Integration(token="callback-0002", name="two"))
    scene.bridge_yaml["destinations"]["other"] = scene.destination("callback-0002")
    scene.route(to=["aha", "other"])
    scene.start()
    scene.write(
        lambda conn, now: conn.exec_driver_sql(
            f"UPDATE destinations SET blocked_until = {now + 60_000} WHERE name = 'aha'"
        )
    )
    scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.until(scene.sandbox.writes)
    assert [one.integration for one in scene.sandbox.writes()] == ["two"]


# --- the token is revoked


def test_a_gone_token_keeps_everything_until_it_is_replaced(scene, cloud):
    scene.sandbox.revoke("callback-0001")
    scene.start()
    events = busy(scene, cloud)
    scene.until(lambda: scene.account().destinations["aha"]["paused"])
    assert scene.asked().leased is None
    scene.later(3600)
    assert scene.asked().leased is None
    assert scene.sandbox.writes() == []
    states = {scene.state(event) for one in events for event in one}
    assert states <= {"queued", "retrying"}
    scene.sandbox.add(Integration(token="callback-0002", account="acme"))
    scene.aha(token="callback-0002")
    assert scene.reload()
    all_in_order(scene)
    assert scene.account().destinations["aha"]["paused"] == ""


def test_an_answer_to_the_old_token_does_not_pause_the_new_one(scene, cloud):
    """The token is replaced while its last request is on the way."""
    scene.sandbox.revoke("callback-0001")
    scene.sandbox.add(Integration(token="callback-0002", account="acme"))
    scene.sandbox.behave(latency_ms=300)
    scene.start()
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.until(lambda: scene.state(event) == "sending")
    scene.aha(token="callback-0002")
    assert scene.reload()
    all_in_order(scene)
    assert scene.outcomes(event) == ["gone", "delivered"]


def test_a_pause_by_a_process_that_did_not_know_the_new_token_yet(scene, cloud):
    scene.sandbox.add(Integration(token="callback-0002", account="acme"))
    scene.start()
    # Another process has told the database of the new token, and a third paused it again.
    scene.write(lambda conn, now: destinations.register(conn, now, {"aha": HASH_OF_0002}))
    scene.write(
        lambda conn, now: conn.exec_driver_sql("UPDATE destinations SET paused = 'late 410'")
    )
    scene.aha(token="callback-0002")
    assert scene.reload()
    scene.send("cloud_a", cloud.created(cloud.issue()))
    all_in_order(scene)


# --- refused


def parked(scene, cloud):
    """A record whose first event is refused, its later events behind it, and another record."""
    scene.sandbox.behave(fail_status=422, fail_share=1.0)
    scene.start()
    issue = cloud.issue("PLAT-1")
    first = scene.send("cloud_a", cloud.created(issue))
    scene.until(lambda: scene.state(first) == "parked")
    scene.sandbox.behave(fail_share=0.0)
    later = [scene.send("cloud_a", cloud.edited(issue)), scene.send("cloud_a", cloud.edited(issue))]
    other = scene.send("cloud_a", cloud.created(cloud.issue("PLAT-2")))
    scene.until(lambda: scene.state(other) == "delivered")
    return first, later


def test_a_refused_body_is_parked_with_the_answer_and_its_record_waits(scene, cloud):
    first, later = parked(scene, cloud)
    [attempt] = scene.life(first).attempts
    assert (attempt["outcome"], attempt["status"]) == ("refused", 422)
    assert "failing, as told to" in attempt["answer"]
    assert [scene.state(event) for event in later] == ["queued", "queued"]
    assert scene.asked().leased is None
    scene.later(24 * 3600)
    assert scene.asked().leased is None
    assert len(scene.sandbox.writes()) == 1


def test_a_retry_lets_the_record_go_on(scene, cloud):
    first, _ = parked(scene, cloud)
    [delivery] = scene.life(first).deliveries
    scene.write(lambda c, now: operators.requeue(c, now, delivery["id"], delivery["lane"]))
    scene.wake()
    all_in_order(scene)


def test_a_discard_lets_the_later_events_go_on(scene, cloud):
    first, later = parked(scene, cloud)
    [delivery] = scene.life(first).deliveries

    def discard(conn, now):
        where = deliveries.c.id == delivery["id"]
        conn.execute(deliveries.update().where(where).values(state=State.DISCARDED))
        operators.unblock(conn, now, delivery["lane"])

    scene.write(discard)
    scene.wake()
    scene.finish()
    assert [scene.state(event) for event in later] == ["delivered", "delivered"]
    assert scene.state(first) == "discarded"
    assert [one.verb for one in scene.sandbox.writes()] == ["created", "updated", "updated"]


# --- in doubt


def test_a_comment_without_an_answer_is_in_doubt_and_its_record_waits(scene, cloud):
    scene.sandbox.behave(hang_share=1.0)
    scene.start()
    issue = cloud.issue("PLAT-1")
    comment = scene.send("cloud_a", cloud.said(cloud.comment(), issue))
    scene.until(lambda: scene.state(comment) == "in_doubt")
    assert scene.outcomes(comment) == ["in_doubt"]
    assert "no answer within" in scene.life(comment).attempts[0]["answer"]
    scene.sandbox.behave(hang_share=0.0)
    later = scene.send("cloud_a", cloud.edited(issue))
    scene.later(24 * 3600)
    assert scene.asked().leased is None
    assert scene.state(later) == "queued"
    assert len(scene.sandbox.comments()) == 1


def test_a_state_without_an_answer_is_sent_again(scene, cloud):
    scene.sandbox.behave(drop_share=1.0)
    scene.start()
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    scene.until(lambda: scene.state(event) == "retrying")
    scene.sandbox.behave(drop_share=0.0)
    scene.later(6)
    scene.finish()
    assert scene.outcomes(event) == ["in_doubt", "delivered"]


@pytest.mark.parametrize(("on_doubt", "state"), [("hold", "in_doubt"), ("verify", "in_doubt")])
def test_doubts_are_the_operators(scene, cloud, on_doubt, state):
    scene.aha(on_doubt=on_doubt)
    scene.sandbox.behave(drop_share=1.0)
    scene.start()
    event = scene.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    scene.until(lambda: scene.state(event) == state)


def test_resend_sends_comments_again_too(scene, cloud):
    scene.aha(on_doubt="resend")
    scene.sandbox.behave(drop_share=1.0)
    scene.start()
    event = scene.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    scene.until(lambda: scene.state(event) == "retrying")
    scene.sandbox.behave(drop_share=0.0)
    scene.later(6)
    scene.finish()
    assert scene.outcomes(event) == ["in_doubt", "delivered"]
    assert scene.sandbox.doubled() == 1


# --- the mapping


PARKS = {"from": "$.issue.fields.customfield_10016", "to": "$.issue.fields.customfield_20001"}


def test_what_cannot_be_mapped_is_parked_until_the_mapping_is_mended(anywhere, cloud):
    scene = anywhere
    line = {**PARKS, "type": "number", "otherwise": "park"}
    scene.route(fields=[{**line, "from": "$.issue.fields.summary"}])
    scene.start()
    issue = cloud.issue("PLAT-1", points=5.0, summary="NUL \0 character")
    first = scene.send("cloud_a", cloud.created(issue))
    later = scene.send("cloud_a", cloud.edited(issue))
    scene.until(lambda: scene.state(first) == "parked")
    assert scene.outcomes(first) == ["unmappable"]
    assert "is not a number" in scene.life(first).attempts[0]["answer"]
    assert scene.state(later) == "queued"
    assert scene.sandbox.writes() == []

    scene.route("unrelated", when="project = HR", to=["aha"], **{"from": ["dc_a"]})
    scene.route("all", fields=[{**line, "from": "$.issue.fields.summary"}], when="project = PLAT")
    assert scene.reload()
    scene.until(lambda: len(scene.outcomes(first)) == 2)  # edited, and still not mended
    scene.until(lambda: scene.state(first) == "parked")

    scene.route("all", fields=[line], when="project = PLAT")
    assert scene.reload()
    scene.wake()
    all_in_order(scene)
    assert scene.sandbox.writes()[0].body["issue"]["fields"]["customfield_20001"] == 5


def test_a_reload_without_an_edit_of_its_route_frees_nothing(scene, cloud):
    line = {**PARKS, "from": "$.issue.fields.summary", "type": "number", "otherwise": "park"}
    scene.route(fields=[line])
    scene.start()
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.until(lambda: scene.state(event) == "parked")
    assert scene.reload()
    assert scene.asked().leased is None
    assert scene.outcomes(event) == ["unmappable"]


# --- the database is away


@contextmanager
def other_connection(scene):
    path = scene.environ["BRIDGE_DATABASE"].removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    try:
        yield other
    finally:
        other.close()


@contextmanager
def away(scene):
    """Let every statement fail at once, as with a database whose server is gone."""
    with other_connection(scene) as other:
        for table in ("events", "lanes", "destinations"):
            other.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
        try:
            yield
        finally:
            for table in ("events", "lanes", "destinations"):
                other.execute(f"ALTER TABLE {table}_away RENAME TO {table}")


def test_events_are_kept_while_the_database_is_away(scene, cloud):
    scene.start()
    issue = cloud.issue("PLAT-1")
    bodies = [cloud.created(issue), *(cloud.edited(issue) for _ in range(11))]
    with away(scene):
        events = [scene.send("cloud_a", body) for body in bodies[:6]]
        events += sorted(scene.together(*(("cloud_a", body) for body in bodies[6:])))
        ready = scene.get("/readyz")
        assert ready.status_code == 200
        assert ready.json["status"] == "degraded"
        assert any("cannot be reached" in told for told in ready.json["degraded"])
        assert any("spool" in told for told in ready.json["degraded"])
        assert scene.get("/healthz").status_code == 200
        told = scene.get("/metrics").text
        assert "bridge_spool_waiting 1.0" in told
        assert "bridge_database_up 0.0" in told
    scene.until(lambda: scene.get("/readyz").json == {"status": "ok", "degraded": [], "routes": 1})
    assert "bridge_database_up 1.0" in scene.get("/metrics").text
    assert sorted(line.event for line in scene.lines()) == sorted(events)
    all_in_order(scene)
    queued = [row[0] for row in scene.rows("SELECT event FROM deliveries ORDER BY id")]
    assert queued[:6] == events[:6]
    assert list((scene.folder / "spool").glob("*.spool")) == []


def test_a_locked_database_is_one_that_is_away(scene, cloud):
    """Who comes first waits as long as SQLite does; nobody else waits for the lock."""
    scene.start(deliver=False)
    with other_connection(scene) as other:
        other.execute("BEGIN IMMEDIATE")
        scene.send("cloud_a", cloud.created(cloud.issue()))
        begun = time.monotonic()
        for _ in range(5):
            scene.send("cloud_a", cloud.created(cloud.issue()))
        assert time.monotonic() - begun < 3
        assert "locked" in str(scene.get("/readyz").json["degraded"])
        other.execute("ROLLBACK")
        scene.stop()


@pytest.mark.postgres
def test_events_are_kept_while_the_way_to_the_database_is_cut(wired, cloud):
    scene, wire = wired
    scene.start()
    issue = cloud.issue("PLAT-1")
    events = [scene.send("cloud_a", cloud.created(issue))]
    scene.until(lambda: scene.state(events[0]) == "delivered")
    wire.cut()
    events += [scene.send("cloud_a", cloud.edited(issue)) for _ in range(5)]
    assert scene.get("/readyz").json["status"] == "degraded"
    assert "bridge_database_up 0.0" in scene.get("/metrics").text
    wire.mend()
    scene.until(lambda: scene.get("/readyz").json["status"] == "ok")
    all_in_order(scene)
    assert [row[0] for row in scene.rows("SELECT event FROM deliveries ORDER BY id")] == events


@pytest.mark.postgres
def test_a_bridge_that_starts_before_its_database(wired, cloud):
    scene, wire = wired
    wire.cut()
    scene.start()
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    assert scene.get("/readyz").json["status"] == "degraded"
    wire.mend()
    scene.until(lambda: scene.bridge.reload() or scene.get("/readyz").json["status"] == "ok")
    scene.until(lambda: scene.lines(event))
    scene.until(lambda: scene.bridge.reload() or scene.state(event) == "delivered")


def test_what_waits_in_the_spool_outlives_the_process(scene, cloud):
    scene.start(deliver=False, max_body=1000)
    with away(scene):
        large = scene.post("cloud_a", b"x" * 1001)
        event = scene.send("cloud_a", b'{"webhookEvent": "x"}')
        scene.stop()
        assert len(list((scene.folder / "spool").glob("*.spool"))) == 1
    assert large.status_code == 413
    scene.start()
    other = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.until(lambda: len(scene.lines()) == 3)
    scene.finish()
    assert scene.line(event).verdict == "filtered"
    assert "larger than 1000 bytes" in scene.line(large.json["event"]).reason
    assert scene.state(other) == "delivered"


def test_two_outages_one_restart_between(scene, cloud):
    """What an earlier life put into the spool is in nobody's way."""
    issue, sent = cloud.issue("PLAT-1"), []
    scene.start(deliver=False)
    with away(scene):
        sent.append(scene.send("cloud_a", cloud.created(issue)))
        scene.stop()
    scene.start(deliver=False)
    with away(scene):
        sent += [scene.send("cloud_a", cloud.edited(issue)) for _ in range(3)]
    scene.until(lambda: len(scene.lines()) == 4)
    queued = [row[0] for row in scene.rows("SELECT event FROM deliveries ORDER BY id")]
    assert queued == sent


def until_kept(scene, cloud):
    """Post until it is taken, as the sender is asked to."""
    body = cloud.created(cloud.issue())
    scene.until(lambda: scene.post("cloud_a", body).status_code == 200)


def test_without_room_in_the_spool_the_sender_is_to_come_again(scene, cloud, logged):
    scene.start(deliver=False, spool_max=1)
    with away(scene):
        answer = scene.post("cloud_a", cloud.created(cloud.issue()))
        assert answer.status_code == 503
        assert "X-Bridge-Event" not in answer.headers
    assert "event.not_kept" in {line["event"] for line in logged}
    until_kept(scene, cloud)
    assert len(scene.lines()) == 1
    assert scene.get("/readyz").json["status"] == "ok"


def test_a_spool_that_cannot_be_written_is_none(scene, cloud):
    scene.start(deliver=False)
    shutil.rmtree(scene.folder / "spool", ignore_errors=True)
    (scene.folder / "spool").write_text("in the way")
    with away(scene):
        assert scene.post("cloud_a", cloud.created(cloud.issue())).status_code == 503
    until_kept(scene, cloud)


def test_what_was_sent_is_not_forgotten_in_an_outage(scene, cloud):
    """The answer of Aha! comes while there is no database to write it down in."""
    scene.sandbox.behave(latency_ms=100)
    scene.start()
    event = scene.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    scene.until(lambda: scene.state(event) == "sending")
    with away(scene):
        scene.until(scene.sandbox.comments)
        scene.until(lambda: scene.bridge.store.outage)
    scene.finish()
    assert (scene.state(event), scene.outcomes(event)) == ("delivered", ["delivered"])
    assert len(scene.sandbox.comments()) == 1


def test_a_thin_comment_is_decided_after_the_outage(scene, dc):
    """Its grace ends while there is no database; the workers outlive that."""
    scene.start()
    event = scene.send("dc_a", dc.said(dc.comment(), dc.issue("CORE-1")))
    with away(scene):
        scene.later(11)
        scene.until(lambda: scene.bridge.store.outage)
    scene.finish()
    assert scene.state(event) == "delivered"
    assert all(thread.is_alive() for thread in scene.bridge._pool.threads)
