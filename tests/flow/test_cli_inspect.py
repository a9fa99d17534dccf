"""log, show and status, beside a bridge that runs."""

import csv
import io
import json
import signal
import subprocess
import sys

import pytest
from commands import lines, ok, refused, run

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def beside(scene, cloud, monkeypatch):
    """A bridge that delivered, met a duplicate, filtered and rejected."""
    monkeypatch.setenv("BRIDGE_DATABASE", scene.environ["BRIDGE_DATABASE"])
    scene.route("plat", when="project = PLAT")
    scene.start()
    first = cloud.issue("PLAT-1")
    scene.events = [
        scene.send("cloud_a", cloud.created(first)),
        scene.send("cloud_b", cloud.created(first)),
        scene.send("cloud_a", cloud.created(cloud.issue("HR-1"))),
        scene.send("cloud_a", b"nonsense"),
    ]
    scene.finish()
    return scene


def test_the_log_as_json_is_one_object_a_line(beside):
    # The duplicate has the body of the first one: both are about PLAT-1.
    told = lines("log", "--json")
    assert [line["event"] for line in told] == beside.events
    assert [line["verdict"] for line in told] == ["deliver", "duplicate", "filtered", "rejected"]
    assert [line["stage"] for line in told] == ["passes_filter", "claimed", "routed", "read"]
    assert (told[0]["state"], told[0]["key"]) == ("delivered", "PLAT-1")
    assert told[1]["first"] == beside.events[0]
    assert "first" not in told[0]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["--issue", "PLAT-1"], [0, 1]),
        (["--hook", "cloud_b"], [1]),
        (["--verdict", "filtered"], [2]),
        (["--route", "plat", "--verdict", "deliver"], [0]),
        (["--stage", "passes_filter"], [0]),
        (["--stage", "claimed"], [1]),
        (["--stage", "routed"], [2]),
        (["--stage", "read"], [3]),
        (["--state", "delivered"], [0]),
        (["--destination", "aha", "--verdict", "deliver"], [0]),
        (["--limit", "2"], [2, 3]),
        (["--since", "1h"], [0, 1, 2, 3]),
        (["--until", "1h"], []),
        (["--since", "2099-01-01T00:00:00+02:00"], []),
        (["--until", "2099-01-01"], [0, 1, 2, 3]),
    ],
)
def test_the_log_can_be_narrowed_down(beside, asked, found):
    told = lines("log", "--json", *asked)
    assert [line["event"] for line in told] == [beside.events[n] for n in found]


def odd_body(jira, key):
    body = jira.created(jira.issue())
    return {**body, "issue": {**body["issue"], "key": key}}


def test_the_log_as_csv_has_headings_and_no_formulas(beside, cloud):
    odd = beside.send("cloud_a", odd_body(cloud, "=HYPERLINK(1)"))
    rows = list(csv.DictReader(io.StringIO(ok("log", "--csv"))))
    assert [row["event"] for row in rows] == [*beside.events, odd]
    assert rows[0]["effects"].startswith("issue:")
    assert rows[1]["first"] == beside.events[0]
    assert rows[1]["stage"] == "claimed"
    assert rows[-1]["key"] == "'=HYPERLINK(1)"
    assert run("log", "--csv", "--json").exit_code == 2


def test_the_log_for_people_has_a_line_for_each_decision(beside, cloud):
    beside.send("cloud_a", {**odd_body(cloud, "HR-1"), "webhookEvent": "\x1b[2J"})
    said = ok("log").splitlines()
    assert len(said) == 5
    assert "deliver" in said[0]
    assert "passes_filter" in said[0]
    assert "plat > aha" in said[0]
    assert f"event {beside.events[0]} reported" in said[1]
    assert "\x1b" not in "".join(said)


@pytest.mark.parametrize(
    ("word", "advice"),
    [("passes_filters", "did you mean passes_filter?"), ("zzz", "known: read, routed, ")],
)
def test_a_stage_that_there_is_not_comes_with_the_nearest_one(word, advice):
    done = run("log", "--stage", word)
    assert done.exit_code == 2
    assert f"'{word}' is no stage; {advice}" in " ".join(done.stderr.split())


@pytest.mark.parametrize("bad", [["--since", "soon"], ["--verdict", "x"], ["--limit", "0"]])
def test_what_cannot_be_asked_is_wrong_use(bad):
    assert run("log", *bad).exit_code == 2


def test_following_the_log_until_it_is_interrupted(beside):
    command = [sys.executable, "-m", "bridge", "log", "--follow", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = [json.loads(process.stdout.readline())["event"] for _ in beside.events]
    assert seen == beside.events
    event = beside.send("cloud_a", b"more nonsense")
    assert json.loads(process.stdout.readline())["event"] == event
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert (process.returncode, process.stdout.read(), process.stderr.read()) == (0, "", "")
    process.communicate()


def test_a_life_is_shown_from_the_beginning_of_an_id(beside):
    said = ok("show", beside.events[0][:19])
    for word in ("PLAT-1", "verdicts", "deliveries", "attempts", "sightings", "cloud_b", "OK"):
        assert word in said
    [told] = lines("show", beside.events[0], "--json")
    assert told["deliveries"][0]["state"] == "delivered"
    assert told["verdicts"][0]["stage"] == "passes_filter"
    [told] = lines("show", beside.events[3], "--json")
    assert told["verdicts"][0]["stage"] == "read"
    assert "body" not in told
    assert "webhookEvent" in ok("show", beside.events[0], "--body")
    assert "the body is not kept" in ok("show", beside.events[1], "--body")
    assert refused("show", "zzz") == "aha-bridge: there is no event zzz\n"


def test_the_account_is_shown_as_a_sum(beside):
    said = ok("status").split()
    for word in ("= 4 received", "1 deliver", "1 rejected", "aha"):
        assert word in " ".join(said)
    assert "nothing waits" in " ".join(said)
    [told] = lines("status", "--json")
    assert told["received"] == sum(told["verdicts"].values()) == 4


def test_what_the_database_refused_is_shown(beside):
    spool = beside.folder / "spool"
    spool.mkdir(exist_ok=True)
    (spool / "x.refused").write_bytes(b"")
    assert "refused by the database" in ok("status")


def test_without_a_database_one_clear_line_says_so(tmp_path):
    for command in (["log"], ["show", "x"], ["status"], ["retry", "1"]):
        said = refused(*command, "--database", f"sqlite:///{tmp_path}/none.db")
        assert said.startswith(f"aha-bridge: there is no database {tmp_path}/none.db; ")
    assert list(tmp_path.iterdir()) == []
    assert "cannot be reached" in refused("migrate", "--database", "sqlite:////nowhere/x.db")


def test_migrate_says_from_what_to_what(tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"
    assert "run `aha-bridge migrate`" in refused("status", "--database", _empty(tmp_path))
    assert ok("migrate", "--database", url).startswith("the schema was empty and is now ")
    assert "nothing to do" in ok("migrate", "--database", url)
    [told] = lines("migrate", "--database", url, "--json")
    assert told["from"] == told["to"]
    assert "nothing waits" in ok("status", "--database", url)


def test_everything_can_be_moved_to_another_database(beside, tmp_path):
    beside.stop()
    old, new = beside.environ["BRIDGE_DATABASE"], f"sqlite:///{tmp_path}/new.db"
    assert run("migrate", "--from", old).exit_code == 2
    [told] = lines("migrate", "--from", old, "--to", new, "--json")
    assert told["moved"]["events"] == 4
    assert ok("log", "--json", "--database", new) == ok("log", "--json")
    other = f"sqlite:///{tmp_path}/other.db"
    result = run("migrate", "--from", old, "--to", other)
    assert "set BRIDGE_DATABASE to the new database" in result.stdout


def _empty(folder):
    path = folder / "empty.db"
    path.touch()
    return f"sqlite:///{path}"
