"""A destination that is renamed, or taken out of the mappings, while deliveries to it are open."""

import json
import shutil

import pytest
from commands import lines, ok, refused, run

from bridge import config
from bridge.app import Bridge
from bridge.sandbox import Integration
from bridge.store import Clocks
from bridge.web import create

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def open_here(anywhere, cloud, monkeypatch):
    """A bridge with one comment delivered, and on one lane a change and a comment that were not."""
    for name in ("BRIDGE_DATABASE", "BRIDGE_MAPPINGS"):
        monkeypatch.setenv(name, anywhere.environ[name])
    anywhere.start()
    issue = cloud.issue()
    told = [cloud.said(cloud.comment("First."), issue), cloud.edited(issue)]
    told.append(cloud.said(cloud.comment("Last."), issue))
    anywhere.send("cloud_a", told[0])
    anywhere.finish()
    anywhere.sandbox.behave(fail_share=1.0)
    for body in told[1:]:
        anywhere.send("cloud_a", body)
    anywhere.until(lambda: anywhere.account().deliveries.get("retrying"))
    anywhere.told = told
    return anywhere


def take_out(scene, other="aha-new", **more):
    """Call the destination something else in the files, without saying that it is the same."""
    destinations = scene.bridge_yaml["destinations"]
    destinations[other] = {**destinations.pop("aha"), **more}
    scene.route(to=[other])


def open_of(scene, name):
    return sum(scene.account().open.get(name, {}).values())


def told_of(scene):
    """What the stand-in wrote, in order."""
    return [one.text or one.event for one in scene.sandbox.writes()]


ONCE = ["First.", "jira:issue_updated", "Last."]


def repeat_all(scene):
    """Tell all of it again, through the other hook."""
    scene.finish()
    for body in scene.told:
        scene.send("cloud_b", body)
    scene.finish()
    assert told_of(scene) == ONCE


def test_what_nobody_sends_any_more_is_told_with_the_ways_out(open_here, logged):
    assert open_here.get("/readyz").json["degraded"] == []
    take_out(open_here)
    assert open_here.reload()
    answer = open_here.get("/readyz").json
    [line] = answer["degraded"]
    assert answer["status"] == "degraded"
    assert line.startswith("2 deliveries are open for aha, which is no destination")
    for way in ("`was: aha`", "`aha-bridge retry --destination aha --to OTHER`", "discard`"):
        assert way in line
    assert [each["detail"] for each in logged if each["event"] == "destination.unknown"] == [line]
    assert f"degraded {line}" in " ".join(ok("status").split())
    [told] = lines("status", "--json")
    assert told["degraded"] == [line]


def test_a_renamed_destination_carries_everything_along(open_here):
    take_out(open_here, was="aha")
    assert open_here.reload()
    assert open_here.get("/readyz").json["degraded"] == []
    assert (open_of(open_here, "aha"), open_of(open_here, "aha-new")) == (0, 2)
    open_here.sandbox.behave(fail_share=0.0)
    open_here.later(400)
    repeat_all(open_here)
    assert {line.destination for line in open_here.lines()} == {"aha-new"}
    assert list(open_here.account().destinations) == ["aha-new"]
    del open_here.bridge_yaml["destinations"]["aha-new"]["was"]
    open_here.reload()
    repeat_all(open_here)


def test_a_rename_that_is_said_late_still_carries_everything_along(open_here):
    take_out(open_here)
    open_here.reload()
    open_here.sandbox.behave(fail_share=0.0)
    open_here.later(400)
    assert open_of(open_here, "aha") == 2
    open_here.bridge_yaml["destinations"]["aha-new"]["was"] = "aha"
    open_here.reload()
    repeat_all(open_here)


def test_what_both_names_were_told_goes_out_once(open_here):
    take_out(open_here)
    open_here.reload()
    open_here.sandbox.behave(fail_share=0.0)
    for body in open_here.told:
        open_here.send("cloud_b", body)
    open_here.until(lambda: not open_of(open_here, "aha-new"))
    # Nobody had said that the two are one.
    assert told_of(open_here) == [*ONCE[:1], *ONCE]
    open_here.bridge_yaml["destinations"]["aha-new"]["was"] = "aha"
    open_here.reload()
    open_here.later(400)
    open_here.finish()
    assert told_of(open_here) == [*ONCE[:1], *ONCE]
    assert open_here.account().events == {"deliver": 4, "duplicate": 2}
    firsts = {line.first for line in open_here.lines() if "other name" in line.reason}
    assert {open_here.state(first) for first in firsts} == {"delivered"}


def test_a_destination_can_be_renamed_back(open_here):
    take_out(open_here, was="aha")
    open_here.reload()
    destinations = open_here.bridge_yaml["destinations"]
    destinations["aha"] = {**destinations.pop("aha-new"), "was": "aha-new"}
    open_here.route(to=["aha"])
    open_here.reload()
    open_here.sandbox.behave(fail_share=0.0)
    open_here.later(400)
    repeat_all(open_here)
    assert {line.destination for line in open_here.lines()} == {"aha"}


def test_a_former_name_can_be_used_for_something_else(open_here, cloud):
    take_out(open_here, was="aha")
    open_here.reload()
    destinations = open_here.bridge_yaml["destinations"]
    del destinations["aha-new"]["was"]
    destinations["aha"] = open_here.destination("callback-0002")
    open_here.sandbox.add(Integration(token="callback-0002", name="two", account="other"))
    open_here.sandbox.behave(fail_share=0.0)
    open_here.route(to=["aha", "aha-new"])
    open_here.reload()
    open_here.later(400)
    open_here.send("cloud_a", cloud.said(cloud.comment("To both."), cloud.issue()))
    open_here.finish()
    told = [one.integration for one in open_here.sandbox.writes() if one.text == "To both."]
    assert sorted(told) == ["integration", "two"]
    assert open_here.get("/readyz").json["degraded"] == []


def test_what_a_process_with_old_files_keeps_goes_along_and_goes_out_once(open_here, cloud):
    """Another process knows nothing of the new name, and is told everything once more."""
    files = shutil.copytree(open_here.mappings, open_here.folder / "old")
    spool = str(open_here.folder / "old-spool")
    read = config.settings({**open_here.environ, "BRIDGE_SPOOL": spool}, mappings=files)
    old = Bridge(read, {}, clocks=Clocks.given(open_here.clock))
    old.start(periodic=False)
    client = create(old).test_client()
    try:
        take_out(open_here, was="aha")
        open_here.reload()
        token = open_here.bridge_yaml["hooks"]["cloud_b"]["token"]
        new = cloud.said(cloud.comment("Told to the old one."), cloud.issue())
        for body in (*open_here.told, new):
            answer = client.post(f"/api/v1/webhooks/{token}", data=json.dumps(body))
            assert answer.status_code == 200
        open_here.sandbox.behave(fail_share=0.0)
        open_here.later(400)
        open_here.until(lambda: open_of(open_here, "aha-new") == 0)
        assert told_of(open_here) == ONCE, "nothing is sent under the old name"
        old.reload()
        assert "aha goes by the name aha-new elsewhere" in " ".join(old.degraded())
        open_here.reload()
        open_here.until(lambda: len(told_of(open_here)) == 4)
    finally:
        old.stop()
    open_here.finish()
    assert told_of(open_here) == [*ONCE, "Told to the old one."]
    assert open_here.account().events == {"deliver": 4, "duplicate": 3}


def test_retry_to_lets_another_destination_send_it(open_here):
    take_out(open_here)
    open_here.reload()
    said = lines("retry", "--to", "aha-new", "--as", "ana", "--json")[0]
    assert [(each["destination"], each["done"]) for each in said] == [("aha", True)] * 2
    open_here.sandbox.behave(fail_share=0.0)
    open_here.later(400)
    repeat_all(open_here)
    open_here.reload()
    assert open_here.get("/readyz").json["degraded"] == []
    [action] = open_here.life(said[0]["event"]).actions
    assert (action["who"], action["what"], action["note"]) == (
        "ana", "send to", "from aha to aha-new",
    )  # fmt: skip
    assert ok("retry", "--to", "aha-new") == "nothing to do\n"


def test_retry_to_says_what_it_does_not_do(open_here):
    wanted = "retry", "--destination", "aha", "--to"
    assert "aha is still a destination of the mappings" in refused(*wanted, "aha")
    take_out(open_here)
    open_here.reload()
    assert "no destination nope; they have: aha-new" in refused(*wanted, "nope")
    assert run("retry", "1", "--to", "aha-new").exit_code == 2
    assert "is aha-new's now" in ok(*wanted, "aha-new")


def test_discard_is_a_way_out_too(open_here):
    take_out(open_here)
    open_here.reload()
    for event in {line.event for line in open_here.lines() if line.state != "delivered"}:
        ok("discard", event, "--reason", "nobody wants it")
    open_here.reload()
    assert open_here.get("/readyz").json["degraded"] == []
    assert told_of(open_here) == ONCE[:1]
