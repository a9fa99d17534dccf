"""Stopping and killing: accepted events are delivered, and delivered ones are not sent again."""

import http.client
import itertools
import sqlite3
import threading
from collections import Counter
from contextlib import closing

import orjson
import pytest
from servers import Server

pytestmark = pytest.mark.enable_socket


# --- in this process


def test_stopping_finishes_what_is_in_flight(scene, cloud):
    scene.sandbox.behave(latency_ms=200)
    scene.start(workers=3)
    issues = [cloud.issue(f"PLAT-{number + 1}") for number in range(5)]
    events = [scene.send("cloud_a", cloud.said(cloud.comment(), issue)) for issue in issues]
    scene.until(lambda: scene.account().deliveries.get("sending") == 3)
    scene.stop()
    assert len(scene.sandbox.comments()) == 3
    scene.sandbox.behave(latency_ms=0)
    scene.start()
    scene.finish()
    assert {scene.state(event) for event in events} == {"delivered"}
    assert len(scene.sandbox.comments()) == 5
    assert scene.sandbox.doubled() == 0


def test_a_claim_outlives_a_restart(scene, cloud):
    scene.start()
    body = cloud.said(cloud.comment(), cloud.issue())
    first = scene.send("cloud_a", body)
    scene.finish()
    scene.stop()
    scene.start()
    again = scene.send("cloud_b", body)
    assert scene.line(again).first == first


def test_a_stopped_bridge_takes_nothing_in(scene, cloud):
    scene.start()
    running, client = scene.bridge, scene._client()
    scene.stop()
    path = "/api/v1/webhooks/hook-of-cloud-a-0001"
    assert client.post(path, data=orjson.dumps(cloud.created(cloud.issue()))).status_code == 503
    assert not running.store.can_keep()


def test_a_grace_goes_on_after_a_restart(scene, dc):
    scene.start()
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 27)
    first = scene.send("dc_a", thin)
    scene.stop()
    scene.start()
    assert scene.asked().leased is None
    second = scene.send("dc_b", full)
    scene.finish()
    assert scene.line(first).first == second
    assert len(scene.sandbox.comments()) == 1


# --- as a process of its own


@pytest.fixture
def server(scene):
    made = Server(scene)
    yield made
    made.end()


def rows(scene, statement):
    path = scene.environ["BRIDGE_DATABASE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=10)) as conn:
        return conn.execute(statement).fetchall()


def told_of(scene, state):
    """List the deliveries in a state, as (record, event, instant)."""
    joined = "deliveries d JOIN events e ON e.id = d.event"
    return set(rows(scene, f"SELECT record, name, time FROM {joined} WHERE d.state = '{state}'"))


class Senders:
    """Threads that each send the events of some issues, one after the other."""

    def __init__(self, server, stories):
        self._server = server
        #: (record, event, instant) of each request answered 200.
        self.answered = []
        self.unanswered = 0
        self._threads = [threading.Thread(target=self._tell, args=(one,)) for one in stories]
        for thread in self._threads:
            thread.start()

    def _tell(self, story):
        for body in story:
            try:
                path = "/api/v1/webhooks/hook-of-cloud-a-0001"
                status, _ = self._server.ask("POST", path, orjson.dumps(body))
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                _until_ready(self._server)
                continue
            assert status == 200
            self.answered.append((body["issue"]["id"], body["webhookEvent"], body["timestamp"]))

    def join(self):
        for thread in self._threads:
            thread.join()


def _until_ready(server, seconds=60):
    pause = threading.Event()
    for _ in range(seconds * 50):
        if server.ready():
            return
        pause.wait(0.02)
    raise AssertionError(server.output.read_text())


def stories(cloud, senders=6, issues=5, events=10):
    """For each sender the bodies of its issues: comments and edits, in turn of the issues."""
    told = []
    for _ in range(senders):
        several = []
        for _ in range(issues):
            issue = cloud.issue()
            steps = [cloud.created(issue)]
            for _ in range((events - 1) // 2):
                steps.append(cloud.said(cloud.comment(), issue))
                edit = cloud.edited(issue)
                steps.append({**edit, "timestamp": next(cloud._now)})
            several.append(steps)
        told.append([body for step in zip(*several, strict=True) for body in step])
    return told


def test_killed_under_load(scene, server, cloud):
    scene.aha(on_doubt="resend")
    scene.configure()
    scene.sandbox.behave(latency_ms=10)
    server.start()
    _until_ready(server)
    senders = Senders(server, stories(cloud))
    scene.until(lambda: len(senders.answered) > 100)
    server.kill()
    confirmed, in_flight = told_of(scene, "delivered"), told_of(scene, "sending")
    server.start()
    senders.join()
    unfinished = "SELECT count(*) FROM deliveries WHERE state NOT IN ('delivered')"
    scene.until(lambda: rows(scene, unfinished) == [(0,)])
    assert server.terminate() == 0, server.output.read_text()

    assert senders.unanswered > 0, "the kill was under load"
    assert confirmed, "and some were through by then"
    sent = {record: told for (_, record), told in scene.sent().items()}
    written = Counter((record, *one) for record, told in sent.items() for one in told)
    assert set(senders.answered) <= written.keys(), "all that was answered for is delivered"
    assert {written[one] for one in confirmed} == {1}, "what was confirmed was not sent again"
    assert {one for one, times in written.items() if times > 1} <= in_flight
    for told in sent.values():
        instants = [instant for (_, instant), _ in itertools.groupby(told)]
        assert instants == sorted(set(instants)), "in order, a repetition at most at once"


def test_asked_to_end_it_finishes_what_is_in_flight(scene, server, cloud):
    scene.sandbox.behave(latency_ms=300)
    server.start()
    _until_ready(server)
    for number in range(12):
        body = cloud.said(cloud.comment(), cloud.issue(f"PLAT-{number + 1}"))
        assert server.ask("POST", "/api/v1/webhooks/hook-of-cloud-a-0001", orjson.dumps(body))
    scene.until(lambda: rows(scene, "SELECT 1 FROM deliveries WHERE state = 'sending'"))
    assert server.terminate() == 0
    states = Counter(state for (state,) in rows(scene, "SELECT state FROM deliveries"))
    assert states.keys() <= {"delivered", "queued"}
    assert states["delivered"] == len(scene.sandbox.comments())
    output = server.output.read_text()
    assert "Looks good" not in output
    assert "hook-of-" not in output
