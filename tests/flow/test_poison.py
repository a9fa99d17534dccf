"""Records that a destination fails on hold up nothing but themselves; an outage is an outage."""

from __future__ import annotations

import json

import commands
import pytest

from bridge.core.retry import Policy

pytestmark = pytest.mark.enable_socket

HOUR = 3600


def poison(scene, jira, count, **manners):
    """Post an event of each of so many issues that Aha! fails on; returns them by key."""
    found = {}
    for number in range(count):
        issue = jira.issue(f"PLAT-{number + 1}")
        scene.sandbox.treat(issue.key, **(manners or {"fail_share": 1.0}))
        found[issue.key] = (issue, scene.send("cloud_a", jira.created(issue)))
    return found


def tried(scene, keys, times=1):
    """Wait until Aha! was asked so often for each of these issues."""
    scene.until(lambda: all(len(scene.sandbox.requests(key)) >= times for key in keys))
    calm(scene)


def calm(scene):
    """Wait until nothing is being sent."""
    scene.until(lambda: "sending" not in scene.account().deliveries)


def seconds_until_delivered(scene, event, most):
    """Tell how many seconds of the bridge's clock have to pass until an event is delivered."""
    for passed in range(0, most + 1, 2):
        try:
            scene.until(lambda: scene.state(event) == "delivered", seconds=0.7)
        except AssertionError:
            scene.later(2)
        else:
            return passed
    return most + 1


def outage(scene, jira, records=40):
    """Let Aha! be down until the breaker has opened; returns the events of so many issues."""
    scene.sandbox.behave(down=True)
    issues = [jira.issue(f"MOB-{number + 1}") for number in range(records)]
    events = [scene.send("cloud_a", jira.created(issue)) for issue in issues]
    scene.until(lambda: len(scene.sandbox.requests()) >= 5)
    scene.until(lambda: breaker(scene) != "closed")
    calm(scene)
    return events


def breaker(scene, name="aha"):
    """Read what `status` says of a destination's breaker."""
    told = commands.ok("status", "--json", "--database", scene.environ["BRIDGE_DATABASE"])
    return json.loads(told)["destinations"][name]["breaker"]


# --- poison


@pytest.mark.parametrize("count", [8, 12])
def test_healthy_records_go_out_at_once_beside_poison(anywhere, cloud, count):
    scene = anywhere
    scene.start()
    bad = poison(scene, cloud, count)
    scene.until(lambda: len(scene.sandbox.requests()) >= 5)
    waits = []
    for _ in range(20):
        scene.later(20)
        event = scene.send("cloud_a", cloud.created(cloud.issue()))
        waits.append(seconds_until_delivered(scene, event, most=40))
    assert sum(wait <= 5 for wait in waits) >= 19, waits
    assert max(waits) <= 20, waits
    tried(scene, bad)
    assert {scene.state(event) for _, event in bad.values()} == {"retrying"}


def test_poison_does_not_hold_up_what_came_before_and_after_it(scene, cloud):
    """One worker, so that poison stands in the queue in front of everything else."""
    scene.start(deliver=False)
    first = [scene.send("cloud_a", cloud.created(cloud.issue())) for _ in range(3)]
    poison(scene, cloud, 12)
    last = [scene.send("cloud_a", cloud.created(cloud.issue())) for _ in range(3)]
    scene.stop()
    scene.start(workers=1)
    for event in (*first, *last):
        assert seconds_until_delivered(scene, event, most=40) <= 20


def test_poison_keeps_its_order_and_goes_out_once_it_is_healed(anywhere, cloud):
    scene = anywhere
    scene.start()
    bad = poison(scene, cloud, 3)
    tried(scene, bad)
    for issue, _ in bad.values():
        scene.send("cloud_b", cloud.said(cloud.comment(), issue))
        scene.send("cloud_a", cloud.edited(issue))
    other = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.until(lambda: scene.state(other) == "delivered")
    assert len(scene.sandbox.writes()) == 1
    for key in bad:
        scene.sandbox.treat(key)
    scene.until(lambda: scene.later(5) or not scene.account().open)
    assert scene.sent() == scene.queued()
    assert scene.sandbox.doubled() == 0


def test_poison_backs_off_by_itself(anywhere, cloud):
    scene = anywhere
    scene.start()
    [key] = bad = poison(scene, cloud, 1)
    tried(scene, bad)
    for _ in range(60):  # two hours, in which others come through all the time
        scene.later(120)
        event = scene.send("cloud_a", cloud.created(cloud.issue()))
        assert seconds_until_delivered(scene, event, most=40) <= 20
        calm(scene)
    assert 20 <= len(scene.sandbox.requests(key)) <= 61


def test_poison_is_parked_after_the_hours_that_are_set_and_says_why(anywhere, cloud):
    scene = anywhere
    scene.start(park_hours=2)
    [(key, (issue, first))] = poison(scene, cloud, 1).items()
    tried(scene, [key])
    later = scene.send("cloud_a", cloud.edited(issue))
    for _ in range(14):
        scene.later(600)
        event = scene.send("cloud_a", cloud.created(cloud.issue()))
        assert seconds_until_delivered(scene, event, most=40) <= 20
        calm(scene)
    scene.until(lambda: scene.state(first) == "parked")
    assert scene.state(later) == "queued"
    attempts = scene.life(first).attempts
    assert {attempt["status"] for attempt in attempts} == {500}
    why = attempts[-1]["answer"]
    assert why.startswith("failed since 2")
    assert f"while other records came through; {len(attempts)} attempts in all" in why
    assert "failing, as told to" in why

    said_why(scene, first, issue, why)
    scene.sandbox.treat(key)
    # The command's own clock is hours behind the scene's, which it may say on stderr.
    assert not commands.run(
        "retry", first, "--database", scene.environ["BRIDGE_DATABASE"]
    ).exit_code
    scene.wake()
    scene.finish()
    assert scene.sent() == scene.queued()


def said_why(scene, first, issue, why):
    """Hold `log`, `show` and `status` to say why a delivery is parked."""
    database = ("--database", scene.environ["BRIDGE_DATABASE"])
    told = commands.lines("log", "--json", "--state", "parked", *database)
    assert [(line["event"], line["trouble"]) for line in told] == [(first, why)]
    assert why[:40] in commands.ok("log", "--state", "parked", *database)
    assert why[:40] in " ".join(commands.ok("show", first, *database).split())
    status = json.loads(commands.ok("status", "--json", *database))
    [stuck] = status["stuck"]
    assert (stuck["event"], stuck["state"], stuck["why"]) == (first, "parked", why)
    assert issue.key in commands.ok("status", *database)


def test_nothing_is_parked_while_nothing_at_all_comes_through(scene, cloud):
    scene.start(park_hours=1)
    events = outage(scene, cloud, records=8)
    for _ in range(8):
        before = len(scene.sandbox.requests())
        scene.later(HOUR)
        scene.until(lambda: len(scene.sandbox.requests()) > before)  # noqa: B023
        calm(scene)
    scene.sandbox.behave(down=False)
    scene.later(61)
    scene.finish()
    assert {scene.state(event) for event in events} == {"delivered"}


def test_poison_that_takes_long_leaves_most_workers_to_the_others(anywhere, cloud):
    scene = anywhere
    scene.environ["BRIDGE_READ_TIMEOUT"] = "60"
    scene.start(workers=4)
    bad = poison(scene, cloud, 4)
    tried(scene, bad)
    scene.later(11)  # the breaker is closed: four lanes do not open it
    for key in bad:
        scene.sandbox.treat(key, fail_share=1.0, latency_ms=600_000)
    scene.later(60)
    scene.until(lambda: sum(len(scene.sandbox.requests(key)) for key in bad) > 4)
    events = [scene.send("cloud_a", cloud.created(cloud.issue())) for _ in range(20)]
    scene.until(lambda: all(scene.state(event) == "delivered" for event in events))
    asked = {key: len(scene.sandbox.requests(key)) for key in bad}
    assert sorted(asked.values()) == [1, 1, 1, 2], "one of four workers at a time"
    scene.sandbox.stop()  # which lets go of whoever waits there


# --- an outage


def test_a_destination_that_is_down_is_sent_one_delivery_a_probe(anywhere, cloud):
    scene = anywhere
    # Ten times as long as usual, so that the seconds that a test takes do not count.
    scene.policy = Policy(
        newcomer_break_ms=30_000, first_break_ms=100_000, longest_break_ms=600_000
    )
    scene.start()
    outage(scene, cloud)
    # The fourth probe is a record that had waited: a new one then waits for the first break only.
    for pause in (30, 200, 400, 600, 100):
        before = len(scene.sandbox.requests())
        scene.later(pause - 20)
        assert scene.asked().leased is None
        scene.send("cloud_a", cloud.created(cloud.issue()))
        assert len(scene.sandbox.requests()) == before
        scene.later(21)
        scene.until(lambda: len(scene.sandbox.requests()) > before)  # noqa: B023
        calm(scene)
        assert scene.asked().leased is None
        assert len(scene.sandbox.requests()) == before + 1


def test_with_nothing_new_a_failing_record_is_the_probe(scene, cloud):
    scene.start()
    outage(scene, cloud, records=5)
    for pause in (10, 20, 40, 60, 60, 60, 60):
        before = len(scene.sandbox.requests())
        scene.later(pause)
        scene.until(lambda: len(scene.sandbox.requests()) > before)  # noqa: B023
        calm(scene)
        assert len(scene.sandbox.requests()) == before + 1
    assert len(scene.sandbox.writes()) == 0


def test_after_an_outage_everything_goes_on_at_once(anywhere, cloud):
    scene = anywhere
    scene.start()
    events = outage(scene, cloud)
    for _ in range(8):
        before = len(scene.sandbox.requests())
        scene.later(61)
        scene.until(lambda: len(scene.sandbox.requests()) > before)  # noqa: B023
        calm(scene)
    scene.sandbox.behave(down=False)
    scene.later(61)
    scene.finish()
    assert {scene.state(event) for event in events} == {"delivered"}
    assert breaker(scene) == "closed"


def test_few_records_go_on_soon_after_an_outage_too(scene, cloud):
    """Too few to open the breaker."""
    scene.sandbox.behave(down=True)
    scene.start()
    events = [scene.send("cloud_a", cloud.created(cloud.issue())) for _ in range(3)]
    for _ in range(12):
        before = len(scene.sandbox.requests())
        scene.later(61)
        scene.until(lambda: len(scene.sandbox.requests()) > before)  # noqa: B023
        calm(scene)
    assert breaker(scene) == "closed"
    scene.sandbox.behave(down=False)
    scene.later(61)
    scene.finish()
    assert {scene.state(event) for event in events} == {"delivered"}


def test_known_poison_is_not_let_loose_by_the_end_of_an_outage(anywhere, cloud):
    scene = anywhere
    scene.start()
    bad = poison(scene, cloud, 6)
    tried(scene, bad)
    for _ in range(12):  # they fail while others come through, and are known for it
        scene.later(120)
        event = scene.send("cloud_a", cloud.created(cloud.issue()))
        assert seconds_until_delivered(scene, event, most=40) <= 20
        calm(scene)
    asked = sum(len(scene.sandbox.requests(key)) for key in bad)
    events = outage(scene, cloud, records=20)
    scene.sandbox.behave(down=False)
    scene.later(11)
    scene.until(lambda: all(scene.state(event) == "delivered" for event in events))
    calm(scene)
    assert sum(len(scene.sandbox.requests(key)) for key in bad) <= asked + 2


# --- 429


def test_a_pause_that_was_asked_for_outlasts_what_comes_through(anywhere, cloud):
    """A send that was on its way already succeeds while the breaker is open."""
    scene = anywhere
    scene.environ["BRIDGE_READ_TIMEOUT"] = "60"
    scene.start()
    slow, probe = cloud.issue("MOB-1"), cloud.issue("MOB-2")
    scene.sandbox.treat(slow.key, latency_ms=600_000)
    event = scene.send("cloud_a", cloud.created(slow))
    scene.until(lambda: scene.sandbox.requests(slow.key))
    poison(scene, cloud, 5)
    scene.until(lambda: breaker(scene) != "closed")
    scene.sandbox.treat(probe.key, fail_share=1.0, fail_status=429, retry_after=300)
    throttled = scene.send("cloud_a", cloud.created(probe))
    scene.later(11)
    scene.until(lambda: scene.outcomes(throttled) == ["throttled"])
    scene.sandbox.release()
    scene.until(lambda: scene.state(event) == "delivered")
    before = len(scene.sandbox.requests())
    waiting = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.later(280)
    assert scene.asked().leased is None
    assert scene.asked().wait_ms > 5_000
    assert len(scene.sandbox.requests()) == before
    scene.later(30)
    scene.until(lambda: scene.state(waiting) == "delivered")
