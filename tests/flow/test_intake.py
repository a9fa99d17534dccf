"""What the intake makes of a source that shakes hands, tells of several things, or fails."""

import sys
import threading
from dataclasses import replace

import orjson
import pytest

from bridge import sources
from bridge.core.plan import Plan
from bridge.intake import LARGE_BODY_BYTES, Intake
from bridge.model import Request

pytestmark = pytest.mark.enable_socket

STRANGE = """
from dataclasses import replace
from bridge.model import Effect, Event, Reply

def verify(secrets, request):
    if request.body == b"unchecked":
        raise KeyError("not for the log")

def handshake(request):
    if request.body == b"shake":
        return Reply(headers={"X-Shake": "s"}, body=b"shaken")
    if request.body == b"fall":
        raise KeyError("not for the log")

def read(request):
    words = request.body.decode().split()
    if words == ["fail"]:
        raise KeyError("not for the log")
    for number, word in enumerate(words if words != ["nothing"] else ()):
        yield Event(
            id=f"{request.id}{number or ''}", hook=request.hook, source="strange",
            site=request.site, received=request.received, name=word, record=word,
            effects=(Effect(identity=word, event="issue_created"),), body={},
        )
"""


@pytest.fixture
def strange(tmp_path, scene):
    """A source in a file of its own, and a function that lets a bridge take in its bodies."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "strange.py").write_text(STRANGE)
    sources.__path__.append(str(folder))
    sources.names.cache_clear()
    scene.start(deliver=False)
    configuration = scene.bridge.plan.configuration
    hook = replace(configuration.hooks["cloud_a"], source="strange")
    scene.bridge.plan = Plan.of(
        replace(configuration, hooks={**configuration.hooks, "cloud_a": hook})
    )

    def accept(body):
        request = Request(
            id="event", hook="cloud_a", site="cloud", received=1, headers={}, query={}, body=body
        )
        return scene.bridge.intake.accept(hook, request)

    yield accept
    sources.__path__.remove(str(folder))
    sources.names.cache_clear()
    sys.modules.pop("bridge.sources.strange", None)


def test_a_handshake_is_answered_and_nothing_is_kept(strange, scene):
    reply = strange(b"shake")
    assert (reply.status, reply.body, dict(reply.headers)) == (200, b"shaken", {"X-Shake": "s"})
    assert scene.lines() == []


def test_a_handshake_that_fails_is_an_event_that_is_kept(strange, scene, logged):
    assert strange(b"fall") is None
    assert scene.line("event").name == "fall"
    assert "event.failed" in {line["event"] for line in logged}
    assert "not for the log" not in str(logged)


def test_a_body_that_we_fail_on_is_kept_and_said(strange, scene, logged):
    strange(b"fail")
    line = scene.line("event")
    assert line.verdict == "rejected"
    assert "the bridge itself failed on this body: KeyError" in line.reason
    assert scene.life("event").body == b"fail"
    [told] = [line for line in logged if line["event"] == "event.failed"]
    assert (told["log_level"], told["error"], told["event_id"]) == ("error", "KeyError", "event")
    assert any("strange.py" in place for place in told["where"])
    assert "not for the log" not in str(logged)


def test_what_we_fail_to_check_is_not_trusted(strange, scene, logged):
    strange(b"unchecked")
    assert scene.line("event").verdict == "rejected"
    assert scene.life("event").body is None
    assert "not for the log" not in str(logged)


def test_a_body_that_tells_of_nothing_is_kept_and_said(strange, scene):
    strange(b"nothing")
    assert scene.line("event").reason == "the body holds no event"
    assert scene.life("event").body == b"nothing"


def test_a_body_may_tell_of_several_events(strange, scene):
    strange(b"one two three")
    lines = [(line.event, line.name, line.verdict) for line in scene.lines()]
    assert lines == [
        ("event", "one", "deliver"), ("event1", "two", "deliver"), ("event2", "three", "deliver"),
    ]  # fmt: skip
    assert scene.account().deliveries == {"queued": 3}


def test_a_large_body_is_judged_before_its_turn(strange, scene):
    strange(b"large".ljust(LARGE_BODY_BYTES + 1))
    assert scene.line("event").name == "large"


class Meeting:
    """A plan whose judging waits a moment for another one at the same time."""

    def __init__(self):
        self._inside, self.met = 0, threading.Event()

    def judge(self, event, now):
        self._inside += 1
        if self._inside > 1:
            self.met.set()
        self.met.wait(0.3)
        self._inside -= 1
        return ()


@pytest.mark.parametrize(("size", "met"), [(LARGE_BODY_BYTES, True), (LARGE_BODY_BYTES + 1, False)])
def test_large_bodies_are_read_one_at_a_time(scene, cloud, size, met):
    scene.start(deliver=False)
    meeting = Meeting()
    intake = Intake(store=scene.bridge.store, plan=lambda: meeting, max_body=1 << 20)
    hook = scene.bridge.plan.configuration.hooks["cloud_a"]
    raw = orjson.dumps(cloud.created(cloud.issue())).ljust(size)
    request = Request(
        id="event", hook="cloud_a", site="cloud", received=1, headers={}, query={}, body=raw
    )
    threads = [threading.Thread(target=intake.prepare, args=(hook, request)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meeting.met.is_set() is met
