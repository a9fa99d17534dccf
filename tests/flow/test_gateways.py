"""A gateway that fails after the application behind it took the body."""

import pytest

pytestmark = pytest.mark.enable_socket

ALWAYS = (502, 504, *range(520, 528))


def lost(scene, status):
    """Let everything be written and answered by a gateway that did not see it."""
    scene.sandbox.behave(lost_share=1.0, lost_status=status)


def test_a_comment_behind_a_gateway_that_failed_is_not_sent_again(anywhere, cloud):
    anywhere.aha(doubt=[500, 503, 408])
    anywhere.start()
    records = {}
    for status in (*ALWAYS, 500, 503, 408):
        lost(anywhere, status)
        issue = cloud.issue()
        event = anywhere.send("cloud_a", cloud.said(cloud.comment(), issue))
        anywhere.later(100)  # beyond whatever pause so many failures lead to
        anywhere.until(lambda event=event: anywhere.state(event) == "in_doubt")
        records[event] = str(issue.id)
    anywhere.sandbox.behave(lost_share=0.0)
    anywhere.later(90_000)
    last = anywhere.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    anywhere.until(lambda: anywhere.state(last) == "delivered")
    for event, record in records.items():
        assert (anywhere.state(event), anywhere.outcomes(event)) == ("in_doubt", ["in_doubt"])
        assert len(anywhere.sandbox.comments(record)) == 1


@pytest.mark.parametrize(("what", "written"), [("comment", 2), ("change", 2)])
def test_what_may_be_repeated_is_sent_again(anywhere, cloud, what, written):
    anywhere.aha(on_doubt="resend" if what == "comment" else "hold")
    lost(anywhere, 502)
    anywhere.start()
    issue = cloud.issue()
    body = cloud.said(cloud.comment(), issue) if what == "comment" else cloud.edited(issue)
    event = anywhere.send("cloud_a", body)
    anywhere.until(lambda: anywhere.state(event) == "retrying")
    anywhere.sandbox.behave(lost_share=0.0)
    anywhere.later(400)
    anywhere.until(lambda: anywhere.state(event) == "delivered")
    assert anywhere.outcomes(event) == ["in_doubt", "delivered"]
    assert len(anywhere.sandbox.writes(str(issue.id))) == written


@pytest.mark.parametrize("status", [500, 503, 408, 425])
def test_what_was_not_taken_is_sent_again(anywhere, cloud, status):
    anywhere.sandbox.behave(fail_share=1.0, fail_status=status)
    anywhere.start()
    issue = cloud.issue()
    event = anywhere.send("cloud_a", cloud.said(cloud.comment(), issue))
    anywhere.until(lambda: anywhere.state(event) == "retrying")
    anywhere.sandbox.behave(fail_share=0.0)
    anywhere.later(400)
    anywhere.until(lambda: anywhere.state(event) == "delivered")
    assert len(anywhere.sandbox.comments(str(issue.id))) == 1
