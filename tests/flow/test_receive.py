"""The webhook endpoint: 200 for every request with a live token, and a row with the verdict."""

import gzip
import hmac
import io
from collections import Counter

import orjson
import pytest

from bridge.intake import new_id

pytestmark = pytest.mark.enable_socket

SECRET = "old secret of the hook"
NEXT_SECRET = "its new secret"


def opened(scene):
    """Let a bridge take events in and deliver nothing."""
    scene.hook("cloud_b", secret=[SECRET, NEXT_SECRET])
    scene.hook("dc_b", enabled=False)
    return scene.start(deliver=False, max_body=100_000)


@pytest.fixture
def door(scene):
    return opened(scene)


@pytest.fixture(scope="module")
def shared(make_scene):
    """One door for all tests that only look at their own event."""
    return opened(make_scene())


def deep(levels):
    return b'{"webhookEvent":"x","a":' + b"[" * levels + b"]" * levels + b"}"


#: A request, and the row that results.
STRANGE = {
    "nothing": (b"", "the body is empty"),
    "white space": (b" \n", "the body is empty"),
    "no JSON": (b"<xml/>", "is not JSON"),
    "half a body": (b'{"webhookEvent": "jira:issue_cr', "is not JSON"),
    "a list": (b"[1, 2]", "not an object"),
    "null": (b"null", "not an object"),
    "no UTF-8": (b'{"webhookEvent": "\xff\xfe"}', "is not JSON"),
    "10,000 levels": (deep(10_000), "nested deeper"),
    "200 levels": (deep(200), "nested deeper"),
    "many levels, unclosed": (b"[" * 90_000, "nested deeper"),
    "no webhookEvent": (b'{"issue": {"id": "1"}}', "no webhookEvent"),
    "a webhookEvent that is none": (b'{"webhookEvent": {"a": 1}}', "not the name"),
    "gzip": (gzip.compress(b'{"webhookEvent": "jira:issue_created"}'), "is not JSON"),
    "a number beyond all floats": (b'{"webhookEvent": "x", "timestamp": 1e400}', "is not JSON"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_cannot_be_read_is_taken_all_the_same(shared, name):
    body, why = STRANGE[name]
    event = shared.send("cloud_a", body)
    line = shared.line(event)
    assert (line.verdict, line.hook, line.source) == ("rejected", "cloud_a", "jira")
    assert why in line.reason
    assert shared.life(event).body == body


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"webhookEvent":"x","a":[' + b"{}," * 600_000 + b"{}]}", "more than 500000 values"),
        (b'{"webhookEvent":"x","a":0.%s}' % (b"0" * 100_000), "number of more than 1000 digits"),
    ],
    ids=["values", "digits"],
)
def test_a_body_of_too_much_is_a_row_that_says_so(scene, body, why):
    scene.start(deliver=False)
    event = scene.send("cloud_a", body)
    line = scene.line(event)
    assert line.verdict == "rejected"
    assert why in line.reason
    assert scene.life(event).body == body


#: Readable bodies with odd parts: stored, and no internal error.
ODD = {
    "an event nobody knows": {"webhookEvent": "jira:coffee_made"},
    "an issue that is a list": {"webhookEvent": "jira:issue_updated", "issue": [1]},
    "an issue without fields": {"webhookEvent": "jira:issue_created", "issue": {"id": 7}},
    "fields that are a text": {"webhookEvent": "jira:issue_created", "issue": {"fields": "x"}},
    "every part of a wrong type": {
        "webhookEvent": "jira:issue_updated",
        "timestamp": "yesterday",
        "user": [],
        "issue": {"id": {}, "key": 3, "fields": {"project": "PLAT", "labels": 4, "status": []}},
        "changelog": {"id": [], "items": [None, 1, {"field": 3, "from": []}, "x"]},
        "comment": {"id": {}, "body": 7, "created": {}, "author": "me", "visibility": 4},
    },
    "a comment that is a text": {"webhookEvent": "comment_created", "comment": "hello"},
    "NUL characters": {
        "webhookEvent": "jira:issue_updated",
        "issue": {"id": "1\0", "key": "PLAT\0-1", "fields": {"project": {"key": "PL\0AT"}}},
        "user": {"displayName": "A\0na"},
        "changelog": {"id": "1\0", "items": [{"field": "\0", "toString": "\0"}]},
    },
    "NUL characters in what the filter looks at": {
        "webhookEvent": "jira:issue_created",
        "issue": {"id": "1", "key": "PLAT-1", "fields": {"labels": ["a\0b"], "summary": "\0"}},
    },
    "NUL characters in a value that lets it through": {
        "webhookEvent": "jira:issue_created",
        "issue": {
            "id": "1",
            "key": "PLAT-1",
            "fields": {
                "project": {"key": "PLAT", "id": "1", "name": "\0"},
                "labels": ["odd", "\0"],
            },
        },
    },
    "a timestamp out of this world": {"webhookEvent": "jira:issue_deleted", "timestamp": 10**18},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_bodies_are_kept_judged_and_sent(anywhere, logged, name):
    anywhere.route(when="project = PLAT AND labels not in (internal) OR labels = odd")
    anywhere.start()
    event = anywhere.send("dc_a", ODD[name])
    anywhere.later(11)
    account = anywhere.finish()
    assert anywhere.line(event).verdict != "rejected"
    assert account.deliveries.keys() <= {"delivered"}
    assert {line["log_level"] for line in logged} <= {"debug", "info"}


def test_huge_whole_numbers_are_kept(shared):
    body = b'{"webhookEvent": "jira:issue_created", "issue": {"id": %s}}' % (b"9" * 400)
    for raw in (body, body.replace(b"9" * 400, b"9" * 4000), body.replace(b"9" * 400, b"9" * 25)):
        assert shared.lines(shared.send("cloud_a", raw))


def test_the_raw_bytes_are_kept(shared):
    body = b'{"webhookEvent" :  "jira:issue_created", "issue": {"id": "7", "x": 1.0e2}}\n'
    assert shared.life(shared.send("cloud_a", body)).body == body


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_the_content_type_does_not_matter(shared, cloud, content_type):
    body = cloud.created(cloud.issue())
    event = shared.send("cloud_a", body, headers={"Content-Type": content_type})
    assert shared.line(event).verdict != "rejected"


def test_a_form_is_a_body_that_is_not_json(shared):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    event = shared.send("cloud_a", b"payload=%7B%7D", headers=headers)
    assert shared.line(event).verdict == "rejected"
    assert shared.life(event).body == b"payload=%7B%7D"


# --- signatures


def signed(body, secret, method="sha256"):
    return f"{method}=" + hmac.new(secret.encode(), body, method).hexdigest()


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
@pytest.mark.parametrize("method", ["sha256", "sha512"])
def test_either_of_two_secrets_may_sign(shared, cloud, secret, method):
    body = orjson.dumps(cloud.created(cloud.issue()))
    event = shared.send("cloud_b", body, headers={"X-Hub-Signature": signed(body, secret, method)})
    assert shared.line(event).verdict != "rejected"


def signatures(body):
    return {
        "none": None,
        "of another secret": signed(body, "guessed"),
        "of another body": signed(body + b" ", SECRET),
        "sha1": signed(body, SECRET, "sha1"),
        "md5": signed(body, SECRET, "md5"),
        "nonsense": "sha256=zz",
        "no ASCII": "sha256=ü",
    }


@pytest.mark.parametrize("kind", signatures(b""))
def test_a_bad_signature_is_taken_without_its_body_and_alarms(shared, cloud, logged, kind):
    body = orjson.dumps(cloud.created(cloud.issue(summary="not for the log")))
    signature = signatures(body)[kind]
    headers = {} if signature is None else {"X-Hub-Signature": signature}
    event = shared.send("cloud_b", body, headers=headers)
    assert shared.line(event).verdict == "rejected"
    assert shared.life(event).body is None
    assert shared.life(event).deliveries == ()
    [alarm] = [line for line in logged if line["event"] == "event.bad_signature"]
    assert (alarm["log_level"], alarm["hook"], alarm["event_id"]) == ("warning", "cloud_b", event)
    assert "not for the log" not in str(logged)


# --- answers


def test_looking_does_nothing(door):
    for look in (door.get, lambda path: door._client().head(path)):
        answer = look("/api/v1/webhooks/hook-of-cloud-a-0001")
        assert answer.status_code == 200
        assert answer.mimetype == "text/plain"
    assert door.account().events == {}


@pytest.mark.parametrize("token", ["hook-of-dc-b-00000004", "nobody", "%ff%00", "hook-of-cloud-a-"])
def test_a_token_that_is_not_live_is_gone(door, token):
    client = door._client()
    path = f"/api/v1/webhooks/{token}"
    statuses = [client.get(path), client.head(path), client.post(path, data=b"{}")]
    assert [answer.status_code for answer in statuses] == [410, 410, 410]
    assert "X-Bridge-Event" not in statuses[-1].headers
    assert door.account().events == {}


def test_what_is_too_large_is_refused_with_a_row(shared, logged):
    answer = shared.post("cloud_a", b"x" * 100_001)
    assert answer.status_code == 413
    event = answer.json["event"]
    assert answer.headers["X-Bridge-Event"] == event
    assert "100000 bytes" in shared.line(event).reason
    assert shared.line(event).verdict == "rejected"
    assert shared.life(event).body is None
    assert "event.refused" in {line["event"] for line in logged}


def test_what_is_just_small_enough_is_taken(shared):
    body = b'{"webhookEvent": "x"}'
    assert shared.line(shared.send("cloud_a", body.ljust(100_000))).verdict == "filtered"


def test_what_comes_in_pieces_is_taken_up_to_the_limit(shared):
    """A server that ends the input by itself gives no length: the limit counts all the same."""
    path = "/api/v1/webhooks/hook-of-cloud-a-0001"
    for size, status in ((99_999, 200), (100_001, 413)):
        body = b'{"webhookEvent": "x"}'.ljust(size)
        environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        stream = io.BytesIO(body)
        answer = shared._client().post(path, input_stream=stream, environ_overrides=environ)
        assert answer.status_code == status
        kept = shared.life(answer.json["event"]).body
        assert kept == (body if status == 200 else None)


def test_the_header_says_the_same_as_the_body(door, cloud):
    answers = [door.post("cloud_a", cloud.created(cloud.issue())) for _ in range(3)]
    ids = [answer.json["event"] for answer in answers]
    assert [answer.headers["X-Bridge-Event"] for answer in answers] == ids
    assert len(set(ids)) == 3
    assert {line.event for line in door.lines()} == set(ids)


def test_ids_sort_by_time():
    ids = [new_id(second) for second in (1, 1.5, 2, 1_772_697_600.001, 1_772_697_600.002, 4e9)]
    assert ids == sorted(ids)
    assert len({new_id(5) for _ in range(1000)}) == 1000
    assert {len(one) for one in ids} == {20}


def test_headers_and_query_say_who_and_which_attempt(shared, cloud):
    headers = {"X-Atlassian-Webhook-Identifier": "743", "X-Atlassian-Webhook-Retry": "2"}
    body = {"webhookEvent": "jira:version_released", "version": {"id": "1"}, "timestamp": 1}
    query = {"triggeredByUser": "712020:ana", "secret": "hush"}
    life = shared.life(shared.send("cloud_a", body, headers=headers, query_string=query))
    told = life.event
    assert (told["delivery_id"], told["attempt"], told["actor"]) == ("743", 2, "712020:ana")


def test_a_retry_of_the_sender_is_a_duplicate(door, cloud):
    body = cloud.created(cloud.issue())
    identifier = {"X-Atlassian-Webhook-Identifier": "743"}
    first = door.send("cloud_a", body, headers=identifier)
    again = door.send("cloud_a", body, headers={**identifier, "X-Atlassian-Webhook-Retry": "1"})
    assert (door.line(again).verdict, door.line(again).first) == ("duplicate", first)


def test_a_hook_that_no_route_reads_is_kept_with_the_reason(door, cloud):
    door.route(**{"from": ["cloud_b"]})
    assert door.reload()
    line = door.line(door.send("cloud_a", cloud.created(cloud.issue())))
    assert (line.verdict, line.destination) == ("filtered", "")
    assert "no route reads" in line.reason


# --- two registrations, 32 senders


def test_of_32_at_once_one_is_delivered(scene, cloud):
    scene.start()
    body = cloud.said(cloud.comment(), cloud.issue())
    ids = scene.together(*(("cloud_a" if n % 2 else "cloud_b", body) for n in range(32)))
    scene.finish()
    lines = [scene.line(event) for event in ids]
    [first] = [line for line in lines if line.verdict == "deliver"]
    assert first.state == "delivered"
    others = [line for line in lines if line is not first]
    assert Counter(line.verdict for line in others) == {"duplicate": 31}
    assert {line.first for line in others} == {first.event}
    assert all(first.event in line.reason for line in others)
    assert len(scene.sandbox.writes()) == 1
