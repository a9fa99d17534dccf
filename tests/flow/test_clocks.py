"""A host's clock that steps: nothing stops, nothing is early, and nothing comes into doubt."""

from datetime import datetime

import pytest

from bridge.desk.status import as_dict, status_of

pytestmark = pytest.mark.enable_socket

HOUR = 3600
STEPS = pytest.mark.parametrize("step", [-HOUR, 300, HOUR])


@pytest.fixture
def stepping(anywhere):
    anywhere.environ["BRIDGE_SPOOL"] = str(anywhere.folder / "spool")
    anywhere.environ["BRIDGE_LEASE_SECONDS"] = "60"
    return anywhere


def passes(scene, jira):
    """Let a delivery of another record go through."""
    event = scene.send("cloud_a", jira.edited(jira.issue()))
    scene.until(lambda: scene.state(event) == "delivered")
    return event


@STEPS
def test_what_is_queued_goes_out(stepping, cloud, step):
    stepping.start(deliver=False)
    event = stepping.send("cloud_a", cloud.edited(cloud.issue()))
    stepping.step(step)
    stepping.stop()
    stepping.start()
    stepping.until(lambda: stepping.state(event) == "delivered")
    passes(stepping, cloud)
    stepping.step(step)
    passes(stepping, cloud)


@STEPS
def test_what_is_answered_meanwhile_is_not_in_doubt(stepping, cloud, step):
    stepping.sandbox.behave(latency_ms=1_500)
    stepping.start(workers=2, read_timeout=20)
    event = stepping.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    stepping.until(lambda: stepping.state(event) == "sending")
    stepping.sandbox.behave(latency_ms=0)
    stepping.step(step)
    passes(stepping, cloud)
    stepping.until(lambda: stepping.state(event) == "delivered")
    assert stepping.outcomes(event) == ["delivered"], "its lane was not taken away"


@STEPS
def test_what_is_tried_again_is_tried_in_time(stepping, cloud, step):
    stepping.sandbox.behave(fail_share=1.0)
    stepping.start()
    event = stepping.send("cloud_a", cloud.edited(cloud.issue()))
    stepping.until(lambda: stepping.state(event) == "retrying")
    stepping.sandbox.behave(fail_share=0.0)
    stepping.step(step)
    stepping.later(6)
    stepping.until(lambda: stepping.state(event) == "delivered")
    at = [attempt["at"] for attempt in stepping.life(event).attempts]
    assert at[0] + step * 1000 < at[-1] <= stepping.clock(), "as the clock on the wall says"


@STEPS
def test_a_grace_is_neither_longer_nor_shorter(stepping, dc, cloud, step):
    stepping.start()
    event = stepping.send("dc_a", dc.said(dc.comment(), dc.issue("CORE-1")))
    passes(stepping, cloud)
    stepping.step(step)
    passes(stepping, cloud)
    assert stepping.line(event).verdict == "undecided"
    stepping.later(11)
    stepping.until(lambda: stepping.state(event) == "delivered")


@STEPS
def test_a_pause_that_the_destination_asked_for_is_kept(stepping, cloud, step):
    stepping.sandbox.behave(fail_share=1.0, fail_status=429, retry_after=50)
    stepping.start()
    event = stepping.send("cloud_a", cloud.edited(cloud.issue()))
    stepping.until(lambda: stepping.state(event) == "retrying")
    stepping.sandbox.behave(fail_share=0.0)
    stepping.step(step)
    assert stepping.asked().leased is None
    shown = as_dict(status_of(stepping.bridge.store))
    until = datetime.fromisoformat(shown["destinations"]["aha"]["blocked_until"])
    assert 0 < until.timestamp() - stepping.clock() / 1000 <= 60, "as the clock on the wall says"
    stepping.later(20)
    assert stepping.asked().leased is None
    stepping.later(35)
    stepping.until(lambda: stepping.state(event) == "delivered")


@STEPS
def test_a_limit_holds_and_silences_nobody(stepping, cloud, step):
    stepping.aha(limits={"per_minute": 1})
    stepping.start()
    passes(stepping, cloud)
    stepping.step(step)
    event = stepping.send("cloud_a", cloud.edited(cloud.issue()))
    stepping.until(lambda: stepping.bridge.store.settle_and_lease(None, None))
    stepping.later(20)
    assert stepping.state(event) == "queued"
    stepping.later(45)
    stepping.until(lambda: stepping.state(event) == "delivered")


@STEPS
def test_order_within_a_record_is_that_of_arrival(stepping, cloud, step):
    stepping.start(deliver=False)
    issue = cloud.issue()
    for _ in range(3):
        stepping.send("cloud_a", cloud.edited(issue))
        stepping.step(step)
    stepping.stop()
    stepping.start()
    stepping.finish()
    assert stepping.sent() == stepping.queued()


def test_a_step_is_said_in_the_log(stepping, cloud, logged):
    stepping.start()
    passes(stepping, cloud)
    stepping.step(-HOUR)
    passes(stepping, cloud)
    steps = [line["seconds"] for line in logged if line["event"] == "clock.stepped"]
    assert steps == [pytest.approx(-HOUR, abs=5)]


@pytest.mark.postgres
def test_a_door_that_never_saw_the_database_keeps_its_place(doors, cloud):
    """What it puts aside before a step back goes before what another door takes after it."""
    doors.first.stop()
    doors.second.stop()
    doors.breaker.cut()
    for door in (doors.first, doors.second):
        door.start(deliver=False)
    doors.second.send("cloud_a", cloud.edited(cloud.issue()))
    issue, comments = cloud.issue("PLAT-1"), [cloud.comment() for _ in range(2)]
    doors.first.send("cloud_a", cloud.said(comments[0], issue))
    for door in (doors.first, doors.second):
        door.step(-7)
    doors.second.send("cloud_a", cloud.said(comments[1], issue))
    doors.breaker.mend()
    doors.first.until(lambda: len(doors.second.lines()) == 3)
    doors.second.stop()
    doors.second.start()
    doors.second.until(lambda: len(doors.order()) == 3)
    told = [str(comment.id) for comment in comments]
    assert [one for one in doors.order() if one in told] == told
