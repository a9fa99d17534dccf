"""Hooks of one Jira with two sites, and of two Jiras with one: nobody notices until it doubles."""

from dataclasses import replace

import pytest
from commands import lines

from bridge.demo.stories import CLOUD, DATA_CENTER

pytestmark = pytest.mark.enable_socket

#: The same Jira as CLOUD, as who reaches it through Atlassian's gateway is told of it.
GATEWAY = replace(CLOUD, base="https://api.atlassian.com/ex/jira/11f9d1c2-0000")


def degraded(scene):
    """What `/readyz` and `status` say, which is the same."""
    scene.bridge.reload()
    told = scene.get("/readyz").json["degraded"]
    [status] = lines("status", "--json", **scene.environ)
    assert status["degraded"] == told
    return told


@pytest.fixture
def tell(cloud):
    """Tell of something in a Jira through a hook."""

    def tell(scene, hook, installation):
        jira = type(cloud)(installation)
        issue = jira.issue()
        scene.send(hook, jira.created(issue))
        scene.send(hook, jira.said(jira.comment(), issue))

    return tell


def test_two_sites_of_one_jira_are_told_until_it_is_mended(anywhere, tell, logged):
    scene = anywhere
    scene.hook("cloud_b", site="another")
    scene.start()
    tell(scene, "cloud_a", CLOUD)
    assert degraded(scene) == []
    tell(scene, "cloud_b", CLOUD)
    [told] = degraded(scene)
    assert told == (
        "the sites another (hook cloud_b) and cloud (hook cloud_a) receive bodies of one"
        " installation, acme.atlassian.net: a change that arrives through hooks of both is written"
        " twice. Give their hooks the same site"
    )
    degraded(scene)
    assert [line["detail"] for line in logged if line["event"] == "sites.confused"] == [told]
    scene.hook("cloud_b", site="cloud")
    assert scene.reload()
    tell(scene, "cloud_b", CLOUD)
    assert degraded(scene) == []


def test_two_jiras_of_one_site_are_told(anywhere, tell):
    scene = anywhere
    scene.start()
    tell(scene, "cloud_a", CLOUD)
    tell(scene, "cloud_b", DATA_CENTER)
    [told] = degraded(scene)
    assert told.startswith(
        "the site cloud receives bodies of acme.atlassian.net (hook cloud_a) and"
        " jira.acme.example/jira (hook cloud_b): "
    )


def test_a_jira_and_its_gateway_are_one(scene, tell):
    scene.start()
    tell(scene, "cloud_a", CLOUD)
    tell(scene, "cloud_b", GATEWAY)
    assert degraded(scene) == []


def test_what_is_mended_is_forgotten(scene, tell):
    """A Jira that got another address is told of for three days, and then no more."""
    scene.start()
    tell(scene, "cloud_a", replace(CLOUD, base="https://former.atlassian.net"))
    scene.later(3600)
    tell(scene, "cloud_a", CLOUD)
    assert len(degraded(scene)) == 1
    for _ in range(4):
        scene.later(24 * 3600)
        tell(scene, "cloud_a", CLOUD)
    scene.bridge.reload()
    assert scene.get("/readyz").json["degraded"] == []


def test_bodies_that_name_no_jira_say_nothing(scene):
    scene.hook("cloud_b", site="another")
    scene.start(deliver=False)
    for hook in ("cloud_a", "cloud_b"):
        for link in ("", "nowhere", "https://", 7, None, "https://x/rest"):
            scene.send(hook, {"webhookEvent": "jira:issue_created", "issue": {"self": link}})
    assert degraded(scene) == []


def test_a_sender_that_names_ever_other_jiras_fills_nothing(scene, tell):
    scene.start(deliver=False)
    for number in range(50):
        tell(scene, "cloud_a", replace(CLOUD, base=f"https://jira-{number}.example"))
    assert 2 <= degraded(scene)[0].count(".example") <= 30
