"""A database and a spool that the version before left in use are taken over by this one.

The sample is described where it is made: `tests/samples/previous-version/make_previous.py`.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commands import lines, ok

pytestmark = pytest.mark.enable_socket

SAMPLE = Path(__file__).parents[1] / "samples" / "previous-version"
ABOUT = json.loads((SAMPLE / "events.json").read_text("utf-8"))
EVENTS = ABOUT["events"]

#: Lanes that a person has to free, and what waits in them.
BLOCKED = {
    "in doubt": ["behind in doubt", "spooled, behind in doubt"],
    "in doubt too": ["behind in doubt too"],
    "parked": ["behind parked"],
    "sending, writes": ["behind sending, writes"],
}
#: The deliveries of each other lane, in the order in which they are due.
OPEN = [
    ["retrying", "behind retrying"],
    ["sending, writes nothing", "behind sending, writes nothing"],
    ["queued 1", "queued 2", "spooled, queued 3"],
    ["deleted"],
    ["thin, alone"],
    ["spooled, full"],
]


@pytest.fixture
def url(database, tmp_path):
    """Return the URL of the sample's database after its migration, on each of the two kinds."""
    file = f"sqlite:///{tmp_path / 'previous.db'}"
    with closing(sqlite3.connect(tmp_path / "previous.db")) as conn:
        conn.executescript((SAMPLE / "database.sql").read_text("utf-8"))
    [told] = lines("migrate", "--json", BRIDGE_DATABASE=file)
    assert told["from"] == ABOUT["revision"]
    if database.startswith("sqlite"):
        # It is locked for as long as its process lives: here it is not.
        folder = tmp_path / "previous.db-owners"
        folder.mkdir(mode=0o700)
        (folder / f"{ABOUT['process']}.lock").touch(mode=0o600)
        return file
    ok("migrate", "--from", file, "--to", database, "--json")
    return database


@pytest.fixture
def taken_over(scene, url):
    """A bridge on the sample, at the instant of the sample's last request, that delivers."""
    spool = scene.folder / "spool"
    spool.mkdir(mode=0o700)
    segment = spool / f"{ABOUT['process']}-000001.spool"
    segment.write_bytes((SAMPLE / "requests.spool").read_bytes())
    scene.environ["BRIDGE_DATABASE"] = url
    scene.clock.ahead = ABOUT["at_ms"] - scene.clock.steady()
    scene.route(when="project in (PLAT, CORE)")
    scene.start()
    scene.until(lambda: not list(spool.glob("*.spool")))
    return scene


def states(scene, *names):
    return [scene.state(EVENTS[name]) for name in names]


def reach(scene, state, *names):
    scene.until(lambda: set(states(scene, *names)) == {state})


def change_of(body):
    """Name what a body reports: the comment, the change or the event itself."""
    part = body.get("comment") or body.get("changelog") or {"id": body["webhookEvent"]}
    return str(part["id"])


def sent(scene, name):
    """List what the sandbox received of the record of an event, in order, by id."""
    record = scene.life(EVENTS[name]).event["record"]
    bodies = {id(one.body): one.body for one in scene.sandbox.writes(record)}
    return [change_of(body) for body in bodies.values()]


def test_what_was_on_its_way_goes_on(taken_over):
    scene = taken_over
    scene.later(301)  # no grace, no send and no wait before the next attempt is longer
    reach(scene, "in_doubt", "sending, writes")
    for lane in OPEN:
        reach(scene, "delivered", *lane)
    assert sent(scene, "queued 1") == ["jira:issue_created", "20013", "30015"]
    assert sent(scene, "retrying") == ["20006", "30010"]
    assert sent(scene, "sending, writes nothing") == ["30005", "20012"]
    assert sent(scene, "deleted") == ["jira:issue_deleted"]
    assert sent(scene, "delivered") == [], "what was delivered is not sent again"
    for head, behind in BLOCKED.items():
        assert set(states(scene, *behind)) == {"queued"}
        assert sent(scene, head) == []
    assert scene.sandbox.doubled() == 0


def test_thin_events_wait_for_the_full_ones(taken_over):
    scene = taken_over
    thin, full = EVENTS["thin, full in the spool"], EVENTS["spooled, full"]
    reach(scene, "delivered", "spooled, full")
    assert (scene.line(thin).verdict, scene.line(thin).first) == ("duplicate", full)
    assert states(scene, "thin, alone", "thin, full to come") == ["queued", "queued"]
    came = scene.send("dc_b", json.loads((SAMPLE / "full.json").read_text("utf-8")))
    scene.until(lambda: scene.state(came) == "delivered")
    assert scene.line(EVENTS["thin, full to come"]).first == came
    assert states(scene, "thin, alone") == ["queued"]
    scene.later(61)
    reach(scene, "delivered", "thin, alone")
    assert sorted(
        one.event for one in scene.sandbox.comments() if one.site == "jira.acme.example"
    ) == [
        "comment_created",
        "jira:issue_updated",
        "jira:issue_updated",
    ]


def test_a_person_frees_the_blocked_lanes(taken_over, url, monkeypatch):
    scene = taken_over
    # The commands read the clock of this machine, which is later than that of the sample.
    scene.clock.ahead = max(scene.clock.ahead + 301_000, 60_000)
    scene.wake()
    reach(scene, "in_doubt", "sending, writes")
    monkeypatch.setenv("BRIDGE_DATABASE", url)
    monkeypatch.setenv("BRIDGE_MAPPINGS", scene.environ["BRIDGE_MAPPINGS"])
    assert states(scene, *BLOCKED) == ["in_doubt", "in_doubt", "parked", "in_doubt"]
    for name in ("in doubt", "parked"):
        ok("retry", EVENTS[name])
    for name in ("in doubt too", "sending, writes"):
        ok("discard", EVENTS[name], "--reason", "it is there already")
    scene.later(301)
    for behind in BLOCKED.values():
        reach(scene, "delivered", *behind)
    assert states(scene, *BLOCKED) == ["delivered", "discarded", "delivered", "discarded"]
    assert sent(scene, "in doubt") == ["20001", "30007", "20016"]
    assert sent(scene, "in doubt too") == ["30008"]
    assert sent(scene, "parked") == ["30003", "20009"]
    assert sent(scene, "sending, writes") == ["30011"]


def test_the_log_explains_all_of_them(taken_over):
    scene = taken_over
    scene.later(301)
    for lane in OPEN:
        reach(scene, "delivered", *lane)
    found = {name: scene.line(event) for name, event in EVENTS.items()}
    assert all(line.reason for line in found.values())
    verdicts = {name: line.verdict for name, line in found.items() if line.verdict != "deliver"}
    assert verdicts == {
        "duplicate": "duplicate",
        "filtered": "filtered",
        "echo": "echo",
        "rejected": "rejected",
        "queued 2 again": "duplicate",
        "stale": "stale",
        "thin, full in the spool": "duplicate",
        "spooled, queued 2 once more": "duplicate",
    }
    firsts = {name: line.first for name, line in found.items() if line.first}
    assert firsts == {
        "duplicate": EVENTS["delivered"],
        "queued 2 again": EVENTS["queued 2"],
        "stale": EVENTS["deleted"],
        "thin, full in the spool": EVENTS["spooled, full"],
        "spooled, queued 2 once more": EVENTS["queued 2"],
    }
    assert sum(scene.account().events.values()) == len(EVENTS)
