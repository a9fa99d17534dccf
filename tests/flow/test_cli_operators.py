"""retry, discard and replay, beside a bridge that runs."""

import getpass

import pytest
from commands import lines, ok, refused, run

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def beside(scene, monkeypatch):
    """A bridge whose Aha! takes nothing."""
    for name in ("BRIDGE_DATABASE", "BRIDGE_MAPPINGS"):
        monkeypatch.setenv(name, scene.environ[name])
    scene.route("plat", when="project = PLAT")
    scene.sandbox.behave(fail_share=1.0, fail_status=422)
    scene.start()
    return scene


def parked(scene, body):
    event = scene.send("cloud_a", body)
    scene.until(lambda: scene.state(event) == "parked")
    return event


def delivery(scene, event):
    [row] = scene.life(event).deliveries
    return row["id"]


def test_retry_by_event_by_number_and_all(beside, cloud):
    events = [parked(beside, cloud.created(cloud.issue())) for _ in range(3)]
    beside.sandbox.behave(fail_share=0.0)
    said = ok("retry", events[0])
    assert said == f"delivery {delivery(beside, events[0])} (PLAT-10001 to aha): queued again\n"
    beside.until(lambda: beside.state(events[0]) == "delivered")
    [[told]] = lines("retry", delivery(beside, events[1]), "--json", "--as", "ana")
    assert (told["event"], told["was"], told["done"]) == (events[1], "parked", True)
    assert "queued again" in ok("retry", "--all", "--destination", "aha")
    beside.finish()
    assert ok("retry", "--all") == "nothing to do\n"
    who = [beside.life(event).actions[0]["who"] for event in events]
    assert who == [getpass.getuser(), "ana", getpass.getuser()]


def test_retry_says_what_it_could_not_do(beside, cloud):
    event = parked(beside, cloud.created(cloud.issue()))
    number = delivery(beside, event)
    assert "queued again" in ok("retry", "--state", "parked")
    beside.until(lambda: beside.state(event) == "parked")
    ok("discard", number, "--reason", "not ours")
    result = run("retry", number)
    assert (result.exit_code, result.stdout) == (
        1, f"delivery {number} (PLAT-10001 to aha): delivery {number} is discarded,"
        " neither parked nor in doubt\n",
    )  # fmt: skip
    assert refused("retry", "99") == "aha-bridge: there is no delivery 99\n"


@pytest.mark.parametrize("bad", [[], ["1", "--all"], ["--state", "queued"]])
def test_retry_wants_to_know_which(beside, bad):
    assert run("retry", *bad).exit_code == 2


def test_a_paused_destination_is_resumed(beside, cloud):
    beside.sandbox.behave(fail_status=410)
    event = beside.send("cloud_a", cloud.created(cloud.issue()))
    beside.until(lambda: beside.account().destinations["aha"]["paused"])
    assert "aha" in ok("status")
    beside.sandbox.behave(fail_share=0.0)
    assert ok("retry", "--destination", "aha") == "aha: goes on\n"
    beside.until(lambda: beside.state(event) == "delivered")
    assert lines("retry", "--destination", "aha", "--json") == [
        {"destination": "aha", "resumed": True}
    ]
    assert "there is no destination nope" in refused("retry", "--destination", "nope")


def test_discard_lets_the_next_one_go(beside, cloud):
    issue = cloud.issue()
    first = parked(beside, cloud.created(issue))
    second = beside.send("cloud_a", cloud.edited(issue))
    beside.sandbox.behave(fail_share=0.0)
    assert run("discard", first).exit_code == 2
    said = ok("discard", first, "--reason", "a test of theirs", "--as", "ana")
    assert said.endswith(": discarded\n")
    beside.until(lambda: beside.state(second) == "delivered")
    [action] = beside.life(first).actions
    assert (action["who"], action["what"], action["note"]) == (
        "ana", "discard", "a test of theirs",
    )  # fmt: skip


def test_replay_sends_once_more(beside, cloud):
    beside.sandbox.behave(fail_share=0.0)
    event = beside.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    beside.finish()
    said = ok("replay", event[:19], "--as", "ana")
    assert said == f"event {event} is queued once more: plat > aha\n"
    beside.finish()
    assert beside.sandbox.doubled() == 1
    other = beside.send("cloud_a", cloud.created(cloud.issue("HR-1")))
    assert "say by which to send it (plat)" in refused("replay", other)
    [[told]] = lines("replay", other, "--route", "plat", "--json")
    assert (told["event"], told["route"], told["destination"]) == (other, "plat", "aha")
    assert told["effects"]


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("n\n", 1)])
def test_many_are_asked_about_where_somebody_sits(beside, cloud, monkeypatch, said, code):
    parked(beside, cloud.created(cloud.issue()))
    beside.sandbox.behave(fail_share=0.0, drop_share=1.0)
    event = beside.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    beside.until(lambda: beside.state(event) == "in_doubt")
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = run("retry", "--all", told=said)
    assert result.exit_code == code
    assert "1 of them may have been written already." in result.stdout
    assert "Send 2 deliveries again?" in result.stdout
    assert "?" not in run("retry", "--all", "--yes").stdout
