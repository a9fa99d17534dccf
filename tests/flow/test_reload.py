"""Editing the mappings of a running bridge."""

import sqlite3
import stat

import pytest
from commands import lines

from bridge.errors import BadConfiguration
from bridge.sandbox import Integration
from bridge.store import retention

pytestmark = pytest.mark.enable_socket


def test_nothing_changed_is_no_reload(scene):
    scene.start(deliver=False)
    plan = scene.bridge.plan
    assert not scene.bridge.reload()
    assert scene.bridge.plan is plan


def test_a_filter_is_followed_from_then_on(scene, cloud):
    scene.route(when="project = MOB")
    scene.start()
    before = scene.send("cloud_a", cloud.created(cloud.issue("PLAT-1")))
    scene.route(when="project = PLAT")
    assert scene.reload()
    after = scene.send("cloud_a", cloud.created(cloud.issue("PLAT-2")))
    scene.finish()
    assert [scene.line(event).verdict for event in (before, after)] == ["filtered", "deliver"]


def test_hooks_come_go_and_change_their_tokens(scene):
    scene.start(deliver=False)
    body = b'{"webhookEvent": "x"}'
    scene.bridge_yaml["hooks"]["new"] = {"source": "jira", "token": "hook-that-is-new-5"}
    scene.hook("cloud_a", enabled=False)
    scene.hook("cloud_b", token="hook-of-cloud-b-renewed")
    old = "/api/v1/webhooks/hook-of-cloud-b-0002"
    assert scene.get(old).status_code == 200
    assert scene.reload()
    scene.send("new", body)
    scene.send("cloud_b", body)
    assert scene.post("cloud_a", body).status_code == 410
    assert scene.get(old).status_code == 410


def test_files_that_are_wrong_are_not_used_and_said(scene, cloud, logged):
    scene.start(deliver=False)
    (scene.mappings / "all.yaml").write_text("version: 1\nfrom: [nobody]\nto: [aha]\n")
    assert not scene.look()
    ready = scene.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")
    [told] = ready.json["degraded"]
    assert "all.yaml:2:8" in told
    assert [line["log_level"] for line in logged if "kept_the_last" in line["event"]] == ["error"]
    assert scene.line(scene.send("cloud_a", cloud.created(cloud.issue()))).verdict == "deliver"
    scene.route()
    assert scene.look()
    assert scene.get("/readyz").json["status"] == "ok"


WHOLE = """\
version: 1
from: [cloud_a, cloud_b]
to: [aha]
when: project = PLAT AND (labels is EMPTY OR labels not in (internal))
"""


def test_a_file_that_is_being_saved_is_left_alone_until_it_is_whole(scene, cloud):
    """Cut in the middle it is a valid route without a filter, which would let everything out."""
    route = scene.mappings / "all.yaml"
    route.write_text(WHOLE)
    scene.start()
    internal = cloud.issue("PLAT-1", labels=["internal"])

    def arrives():
        event = scene.send("cloud_a", cloud.edited(internal))
        return scene.line(event).verdict

    assert arrives() == "filtered"
    for end in range(WHOLE.index("when:"), len(WHOLE), 20):
        route.write_text(WHOLE[:end])  # an editor writes the file piece by piece
        assert not scene.bridge.reload()
        assert arrives() == "filtered"
    route.write_text(WHOLE.replace("PLAT", "CORE"))
    assert not scene.bridge.reload()
    assert scene.bridge.reload()
    assert arrives() == "filtered"
    scene.finish()
    assert scene.sandbox.writes() == []


def test_a_touched_file_is_read_again_with_what_it_refers_to(scene):
    secret = scene.folder / "token"
    secret.write_text("hook-of-cloud-a-old1\n")
    scene.hook("cloud_a", token=f"${{file:{secret}}}")
    scene.start(deliver=False)
    secret.write_text("hook-of-cloud-a-new1\n")
    assert not scene.look()
    (scene.mappings / "bridge.yaml").touch()
    assert scene.look()
    assert scene.get("/api/v1/webhooks/hook-of-cloud-a-new1").status_code == 200


def test_a_bridge_starts_with_the_last_good_mappings_while_the_files_are_wrong(
    scene, cloud, logged
):
    scene.route(when="project = PLAT")
    scene.start()
    scene.stop()
    (scene.mappings / "all.yaml").write_text("version: 1\nfrom: [nobody]\nto: [aha]\n")
    scene.restart()
    assert scene.line(scene.send("cloud_a", cloud.created(cloud.issue("CORE-1")))).verdict == (
        "filtered"
    )
    assert scene.line(scene.send("cloud_a", cloud.created(cloud.issue("PLAT-1")))).verdict == (
        "deliver"
    )
    [told] = scene.get("/readyz").json["degraded"]
    assert told.startswith("the mappings on disk are not in use, but the last good ones: ")
    assert "all.yaml:2:8" in told
    assert [line["log_level"] for line in logged if "kept_the_last" in line["event"]] == ["error"]
    [said] = status(scene)["degraded"]
    assert f"the mappings in {scene.mappings} are not in use" in said
    scene.route(when="project = CORE")
    assert scene.look()
    assert scene.get("/readyz").json["status"] == "ok"
    assert status(scene)["degraded"] == []


def test_without_last_good_mappings_nothing_starts(scene):
    (scene.mappings / "all.yaml").write_text("version: 1\nfrom: [nobody]\nto: [aha]\n")
    with pytest.raises(BadConfiguration, match="there is no hook `nobody`"):
        scene.start()


def test_the_last_good_mappings_of_another_folder_are_not_used(scene):
    scene.start()
    scene.stop()
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(BadConfiguration):
        scene.restart(mappings=elsewhere)


def test_the_last_good_mappings_hold_names_of_secrets_and_nobody_else_reads_them(scene):
    scene.hook("cloud_a", token="${TOKEN_OF_A:-hook-of-cloud-a-0001}")
    scene.start()
    [kept] = (scene.folder / "spool").glob("mappings-*")
    assert "${TOKEN_OF_A:-" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def status(scene):
    [told] = lines("status", "--json", **scene.environ)
    return told


def test_a_new_destination_is_served(scene, cloud):
    scene.start()
    scene.sandbox.add(Integration(token="callback-0002", name="two"))
    scene.bridge_yaml["destinations"] = {"other": scene.destination("callback-0002")}
    scene.route(to=["other"])
    assert scene.reload()
    scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.finish()
    assert [one.integration for one in scene.sandbox.writes()] == ["two"]


def test_a_send_in_flight_is_finished_by_those_who_began_it(scene, cloud):
    scene.sandbox.behave(latency_ms=200)
    scene.start()
    event = scene.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    scene.until(lambda: scene.state(event) == "sending")
    scene.aha(limits={"per_second": 5})
    assert scene.reload()
    assert scene.state(event) == "delivered"
    assert scene.outcomes(event) == ["delivered"]
    assert len(scene.sandbox.comments()) == 1


def test_limits_are_kept_once_they_are_given(scene, cloud):
    scene.start()
    scene.aha(limits={"per_second": 5})
    assert scene.reload()
    for number in range(6):
        scene.send("cloud_a", cloud.created(cloud.issue(f"PLAT-{number + 1}")))
    scene.finish()
    times = [one.time for one in scene.sandbox.writes()]
    assert times[-1] - times[0] >= 900


def test_an_edit_during_an_outage_is_staffed_after_it(scene, cloud):
    scene.start()
    scene.sandbox.add(Integration(token="callback-0002", account="acme"))
    path = scene.environ["BRIDGE_DATABASE"].removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("ALTER TABLE destinations RENAME TO elsewhere")
    scene.aha(token="callback-0002")
    scene.sandbox.revoke("callback-0001")
    assert scene.reload(), "the doors follow at once"
    other.execute("ALTER TABLE elsewhere RENAME TO destinations")
    other.close()
    scene.until(lambda: scene.bridge.reload() or scene.bridge._installed)
    scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.finish()
    assert len(scene.sandbox.writes()) == 1


# --- what waits while the mappings change under it


def test_what_a_vanished_route_left_is_parked_until_it_is_back(scene, cloud):
    scene.start(deliver=False)
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.stop()
    (scene.mappings / "all.yaml").unlink()
    scene.route("another")
    scene.start()
    scene.until(lambda: scene.state(event) == "parked")
    [attempt] = scene.life(event).attempts
    assert attempt["outcome"] == "no_route"
    assert "the route all is no longer in the mappings" in attempt["answer"]
    (scene.mappings / "another.yaml").unlink()
    scene.route("all")
    assert scene.reload()
    scene.wake()
    scene.finish()
    assert scene.state(event) == "delivered"


def waiting(scene, dc):
    """A thin comment in its grace."""
    scene.start()
    event = scene.send("dc_a", dc.said(dc.comment(), dc.issue("CORE-1")))
    assert scene.line(event).verdict == "undecided"
    return event


def test_a_waiting_event_is_decided_by_the_routes_of_then(scene, dc):
    event = waiting(scene, dc)
    scene.route(when="project = PLAT", unknown="drop")
    assert scene.reload()
    scene.later(11)
    scene.finish()
    assert scene.line(event).verdict == "filtered"
    assert scene.sandbox.writes() == []


def test_a_waiting_event_that_no_route_reads_any_more(scene, dc):
    event = waiting(scene, dc)
    scene.route(**{"from": ["cloud_a"]})
    assert scene.reload()
    scene.later(11)
    scene.finish()
    assert scene.line(event).verdict == "filtered"
    assert "no route reads from the hook dc_a" in scene.line(event).reason


def test_a_waiting_event_that_no_route_sends_there_any_more(scene, dc):
    event = waiting(scene, dc)
    scene.bridge_yaml["destinations"]["other"] = scene.destination("callback-0002")
    scene.route(to=["other"])
    assert scene.reload()
    scene.later(11)
    scene.finish()
    assert scene.line(event).verdict == "filtered"
    assert "no route sends it here any more" in scene.line(event).reason


def test_a_waiting_event_whose_effect_is_not_asked_for_any_more(scene, dc):
    event = waiting(scene, dc)
    scene.route(events=["issue_created"])
    assert scene.reload()
    scene.later(11)
    scene.finish()
    assert scene.line(event).verdict == "filtered"


def test_a_waiting_event_whose_site_has_another_name_now(scene, dc, logged):
    event = waiting(scene, dc)
    for name in ("dc_a", "dc_b"):
        scene.hook(name, site="renamed")
    assert scene.reload()
    scene.later(11)
    scene.finish()
    assert scene.state(event) == "delivered"
    assert "delivery.mistake" not in {line["event"] for line in logged}


def test_what_waits_in_the_spool_is_judged_by_the_hooks_of_then(scene, cloud):
    scene.start(deliver=False)
    path = scene.environ["BRIDGE_DATABASE"].removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("ALTER TABLE events RENAME TO elsewhere")
    removed = scene.send("cloud_a", cloud.created(cloud.issue()))
    renamed = scene.send("dc_a", cloud.created(cloud.issue()))
    scene.stop()
    other.execute("ALTER TABLE elsewhere RENAME TO events")
    other.close()
    del scene.bridge_yaml["hooks"]["cloud_a"]
    scene.hook("dc_a", site="renamed")
    scene.route(**{"from": ["dc_a"]})
    scene.start()
    scene.until(lambda: len(scene.lines()) == 2)
    scene.finish()
    assert scene.line(removed).verdict == "rejected"
    assert "the hook cloud_a is no longer configured" in scene.line(removed).reason
    assert scene.life(removed).body is not None
    assert scene.line(renamed).verdict == "deliver"
    assert scene.life(renamed).event["site"] == "renamed"


def test_a_file_that_is_gone_between_two_looks(scene):
    """A link to nowhere is there for the first look and not for the second."""
    scene.start(deliver=False)
    (scene.mappings / "gone.yaml").symlink_to(scene.mappings / "nowhere")
    assert not scene.bridge.reload()


# --- what happens by itself


def test_files_are_looked_at_and_rows_tidied_by_themselves(scene, cloud):
    scene.start(deliver=False, bodies_days=1)
    old = scene.send("cloud_a", cloud.created(cloud.issue()))
    for _ in range(2):
        scene.bridge.tidy()
        assert scene.life(old).body is not None
    scene.write(
        lambda conn, now: conn.exec_driver_sql(
            "UPDATE deliveries SET state = 'delivered'"  # only what is over is forgotten
        )
    )
    scene.later(2 * 24 * 3600)
    scene.bridge.tidy()
    assert scene.life(old).body is None


def test_one_process_at_a_time_tidies(scene, cloud):
    scene.start(deliver=False, bodies_days=1)
    event = scene.send("cloud_a", b'{"webhookEvent": "x"}')
    scene.later(2 * 24 * 3600)
    assert scene.write(lambda conn, now: retention.acquire_job_lock(conn, now, "tidy", "another"))
    scene.bridge.tidy()
    assert scene.life(event).body is not None


def test_the_clock_looks_at_the_files(scene):
    scene.start(deliver=False, periodic=True)
    plan = scene.bridge.plan
    scene.route(when="project = PLAT")
    scene.until(lambda: scene.bridge.plan is not plan)
