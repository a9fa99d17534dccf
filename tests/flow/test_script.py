"""A day in two Jiras, each with two registrations, posted by many threads at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest

from bridge.demo import traffic

pytestmark = pytest.mark.enable_socket

HOOKS = ("cloud_a", "cloud_b", "dc_a", "dc_b")
SCRIPT = traffic.script(issues=24, hooks={name: name for name in HOOKS})
WANTED = "project in (PLAT, MOB, CORE)"


def post_all(scene, posts, threads=8):
    """Post from several threads; posts of one instant go out together."""

    def send(post):
        return scene.send(post.hook, post.body, headers=post.headers, query_string=post.query)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(send, posts))


def test_all_of_it_arrives_once_and_in_order(anywhere):
    scene = anywhere
    scene.route(when=WANTED)
    scene.start()
    events = post_all(scene, SCRIPT.posts)
    scene.later(11)
    account = scene.finish()
    expected = SCRIPT.expected

    assert len(set(events)) == len(SCRIPT.posts)
    assert sum(account.events.values()) == len(SCRIPT.posts)
    assert account.events["rejected"] == expected.broken
    assert account.events["duplicate"] > len(SCRIPT.posts) / 3
    assert account.deliveries == {"delivered": account.events["deliver"]}

    sites = {"acme.atlassian.net": "cloud", "jira.acme.example": "dc"}
    written = [(sites[one.site], one.comment) for one in scene.sandbox.comments()]
    assert Counter(written) == dict.fromkeys(expected.comments, 1)
    assert scene.sandbox.doubled() == 0
    told = Counter(
        (sites[one.site], one.comment)
        for one in scene.sandbox.writes()
        if one.verb == "updated" and one.kind == "comment"
    )
    assert told == dict.fromkeys(expected.edits, 1)

    assert records(scene.sent()) == records(scene.queued())


def records(sequences):
    return {record: told for record, told in sequences.items() if record[1]}


# --- nothing of it is in the application's log

MARK = "Zebra-in-the-text"
SAID = (b"Looks good to me.", b"Can we ship this?", b"Export the roadmap", b"As a product manager")


def marked(post):
    """Put the mark where somebody wrote something."""
    body = post.body
    for words in SAID:
        body = body.replace(words, MARK.encode())
    return replace(post, body=body)


def test_neither_texts_nor_secrets_reach_the_log(scene, cloud, dc, logged, caplog, capfd):
    """All goes wrong that can, with marks in everything that is nobody's business."""
    caplog.set_level(0)
    scene.hook("cloud_b", secret=f"{MARK}-secret-of-the-hook")
    line = {"from": "$.issue.fields.duedate", "to": "$.issue.fields.customfield_2"}
    scene.route(when=WANTED, fields=[{**line, "type": "number", "otherwise": "park"}])
    scene.start(max_body=60_000)
    scene.sandbox.behave(fail_share=0.2, drop_share=0.2, fail_status=422)
    posts = [marked(post) for post in SCRIPT.posts[::3]]
    assert sum(MARK.encode() in post.body for post in posts) > len(posts) / 3
    post_all(scene, posts)

    issue = cloud.issue("PLAT-1000", id=99_000, summary=MARK)
    body = cloud.created(issue)
    body["issue"]["fields"]["duedate"] = MARK
    parked = scene.send("cloud_a", body)
    for text in (orjson.dumps(body)[:-1], MARK, MARK * 5_000, f'{{"webhookEvent": "{MARK}'):
        scene.post("cloud_a", text if isinstance(text, bytes) else text.encode())
    scene.send(
        "dc_a", dc.said(dc.comment(MARK), dc.issue("CORE-77")), query_string={"secret": MARK}
    )
    scene.until(lambda: scene.later(5) or scene.state(parked) == "parked")
    scene.sandbox.revoke("callback-0001")
    scene.send("cloud_a", cloud.edited(cloud.issue("PLAT-1001", id=99_001)))
    scene.until(lambda: scene.later(5) or scene.account().destinations["aha"]["paused"])
    scene.stop()

    names = {line["event"] for line in logged}
    assert {"event.bad_signature", "event.refused", "delivery.failed", "delivery.parked"} <= names
    told = "".join([repr(logged), caplog.text, *capfd.readouterr()])
    for secret in (MARK, "hook-of-", "callback-0001"):
        assert secret not in told
