"""The stand-in for Aha!: its writes, its faults, its pages."""

import http.client
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests

from bridge.sandbox import Faults, Integration, Sandbox

TOKEN = "t0ken"
PATH = f"/api/v1/webhooks/{TOKEN}"
SITE = "https://acme.atlassian.net/rest/api/2/issue/10001"


def integration(token=TOKEN, **how):
    return Integration(token=token, name=f"aha-{token}", **how)


@pytest.fixture
def sandbox():
    return Sandbox(integration())


@pytest.fixture
def client(sandbox):
    return sandbox.app.test_client()


def told(event="comment_created", number="10042", text="hi", **more):
    body = {
        "webhookEvent": event,
        "timestamp": 1714550400000,
        "issue": {"id": "10001", "key": "PLAT-7", "self": SITE},
        "comment": {"id": number, "body": text, "self": f"{SITE}/comment/{number}"},
    }
    return {**body, **more}


def control(client, **wishes):
    response = client.post("/sandbox/control", json=wishes)
    assert response.status_code == 200, response.text
    return response.json


def test_a_comment_is_written_each_time_it_is_told(sandbox, client):
    for _ in range(3):
        assert client.post(PATH, json=told()).status_code == 200
    first, *others = sandbox.comments()
    assert (first.n, first.kind, first.verb, first.record) == (1, "comment", "created", "10001")
    assert (first.key, first.comment, first.text) == ("PLAT-7", "10042", "hi")
    assert (first.event, first.timestamp) == ("comment_created", 1714550400000)
    assert (first.integration, first.run_as, first.generation) == (
        "aha-t0ken",
        "Integration user",
        2,
    )
    assert first.body == told()
    assert [first.double, *(one.double for one in others)] == [False, True, True]
    assert sandbox.doubled() == 2


@pytest.mark.parametrize(
    ("one", "other", "doubled"),
    [
        (told(), told(text="changed"), 1),
        (told(), told("jira:issue_updated", issue_event_type_name="issue_commented"), 1),
        (told(), told(number="10043"), 0),
        (told(), told("comment_updated"), 0),
        (told(), told("jira:issue_updated", issue_event_type_name="issue_comment_edited"), 0),
        (told(), told(comment={"id": "10042", "self": "https://other.example/comment/10042"}), 0),
        (told(comment={"id": "10042"}), told(), 1),
        (told(), told(issue={"id": "10002", "self": SITE}), 1),
        (told("jira:issue_updated", comment=None), told("jira:issue_updated", comment=None), 0),
    ],
)
def test_what_counts_as_written_twice(sandbox, client, one, other, doubled):
    client.post(PATH, json=one)
    client.post(PATH, json=other)
    assert sandbox.doubled() == doubled


def test_accounts_and_generations_keep_their_own(sandbox, client):
    sandbox.add(integration("same"))
    sandbox.add(integration("old", generation=1))
    sandbox.add(integration("elsewhere", account="other"))
    for token in (TOKEN, "same", "old", "elsewhere"):
        client.post(f"/api/v1/webhooks/{token}", json=told())
    assert [one.double for one in sandbox.comments()] == [False, True, False, False]


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (told(), ["comment created"]),
        (told("comment_updated"), ["comment updated"]),
        (told("comment_deleted"), ["comment deleted"]),
        (told("jira:issue_updated"), ["comment created"]),
        (told("jira:issue_updated", changelog={}), ["comment created", "record updated"]),
        (told("jira:issue_updated", comment=None), ["record updated"]),
        (told("jira:issue_created", comment=None), ["record created"]),
        (told("jira:issue_deleted", comment=None), ["record deleted"]),
        (told("jira:issue_updated", issue_event_type_name="issue_generic"), ["comment created"]),
        (
            told("jira:issue_updated", issue_event_type_name="issue_comment_deleted"),
            ["comment deleted"],
        ),
        (
            told("jira:issue_updated", comment={"id": "1", "created": "a", "updated": "b"}),
            ["comment updated"],
        ),
        (
            told("jira:issue_updated", comment={"id": "1", "created": "a", "updated": "a"}),
            ["comment created"],
        ),
        (told("worklog_created", comment=None), ["ignored "]),
        (told("", comment="a transition's"), ["ignored "]),
        (told(issue=None), ["ignored "]),
        (told(token="x"), ["ignored "]),
        (told(comment={"id": "1", "self": "https://[odd"}), ["comment created"]),
        ([], ["ignored "]),
    ],
)
def test_what_a_body_makes_it_write(sandbox, client, body, written):
    response = client.post(PATH, json=body)
    assert (response.status_code, response.mimetype, response.text) == (200, "text/plain", "OK")
    assert [f"{one.kind} {one.verb}" for one in sandbox.writes()] == written


def test_what_cannot_be_used_fails_gracefully(sandbox, client):
    for raw in (b"", b"{", b"5", b"\xff"):
        assert client.post(PATH, data=raw).status_code == 200
    client.post(PATH, json=told(action="x", format="y"))
    client.post(PATH, json={"webhookEvent": "comment_created", "comment": {"id": "1"}})
    client.post(PATH, json=told("comment_updated"))
    notes = [one.note for one in sandbox.writes()]
    assert notes[:4] == ["not a JSON object"] * 4
    assert notes[4:6] == ["taken for something of our own: action, format", "names no issue"]
    assert "recorded" in notes[6]
    assert sandbox.comments() == []


def test_an_unknown_or_revoked_token_is_gone(sandbox, client):
    assert client.post("/api/v1/webhooks/other", json=told()).status_code == 410
    sandbox.revoke(TOKEN)
    sandbox.revoke("never there")
    assert client.post(PATH, json=told()).status_code == 410
    assert sandbox.writes() == []


def test_the_check_processes_nothing(sandbox, client):
    response = client.get(PATH)
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert sandbox.writes() == []


# --- misbehaving


def test_failing_by_share(sandbox, client):
    control(client, fail={"status": 503, "share": 0.25})
    answers = [client.post(PATH, json=told(number=str(n))).status_code for n in range(8)]
    assert answers == [200, 200, 200, 503] * 2
    assert len(sandbox.writes()) == 6, "a failure writes nothing"
    control(client, fail={"share": 0})
    assert client.post(PATH, json=told()).status_code == 200


def test_throttling_and_being_down(sandbox, client):
    control(client, fail={"status": 429, "after": 7})
    response = client.post(PATH, json=told())
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert control(client, down=True)["down"] is True
    assert client.post(PATH, json=told()).status_code == 503
    assert sandbox.writes() == []


def test_the_control_changes_what_it_names(sandbox, client):
    assert control(client) == {
        "latency_ms": 0,
        "fail_status": 500,
        "fail_share": 0.0,
        "retry_after": 1,
        "hang_share": 0.0,
        "lost_share": 0.0,
        "lost_status": 502,
        "drop_share": 0.0,
        "down": False,
    }
    control(client, latency_ms=3, add="one")
    control(client, add=["two", {"token": "three", "name": "t", "generation": 1}], revoke=[TOKEN])
    assert sandbox.faults == Faults(latency_ms=3)
    assert [one.token for one in sandbox.integrations()] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "wishes",
    [{"lag": 3}, {"latency_ms": "slow"}, {"fail": 500}, {"add": {"name": "x"}}, ["down"], None],
)
def test_a_control_that_is_not_understood_changes_nothing(sandbox, client, wishes):
    response = client.post("/sandbox/control", json=wishes)
    assert response.status_code == 400
    assert "latency_ms" in response.json["error"]
    assert sandbox.faults == Faults()
    assert [one.token for one in sandbox.integrations()] == [TOKEN]


# --- showing


def test_the_list_of_writes(client):
    client.post(PATH, json=told())
    client.post(PATH, json=told(number="10043", issue={"id": "10002"}))
    rows = client.get("/sandbox/writes").json
    assert [row["n"] for row in rows] == [1, 2]
    assert "body" not in rows[0]
    assert TOKEN not in json.dumps([{**row, "integration": ""} for row in rows])
    assert client.get("/sandbox/writes?record=10002").json == rows[1:]
    assert client.get("/sandbox/writes?after=1").json == rows[1:]
    assert client.get("/sandbox/writes?body=1").json[0]["body"] == told()


def test_writes_of_a_record_are_in_order(sandbox, client):
    for n in range(5):
        client.post(PATH, json=told(number=str(n), issue={"id": str(n % 2)}))
    assert [one.comment for one in sandbox.writes("0")] == ["0", "2", "4"]
    assert [one.comment for one in sandbox.comments("1")] == ["1", "3"]


def test_the_page(sandbox, client):
    empty = client.get("/sandbox").text
    assert "Nothing has been written yet." in empty
    for _ in range(2):
        client.post(PATH, json=told(text="<script>alert(1)</script>"))
    client.post(PATH, json={})
    control(client, down=True, fail={"status": 502}, add="spare")
    response = client.get("/sandbox")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.split("nonce-")[1].split("'")[0] in response.text
    assert "<strong>3</strong> writes" in response.text
    assert '<strong class="bad">1</strong> written twice' in response.text
    assert 'http-equiv="refresh"' in response.text
    assert "failing with 502" in response.text
    assert "names no issue" in response.text
    assert "<script>alert" not in response.text
    assert "&lt;script&gt;alert" in response.text
    assert f'"{TOKEN}"' not in response.text
    control(client, revoke=[TOKEN, "spare"])
    assert "No token is accepted." in client.get("/sandbox").text


def test_a_sandbox_is_an_application():
    client = Sandbox(integration()).app.test_client()
    assert client.post(PATH, json=told()).status_code == 200


# --- as a server


@pytest.fixture
def served(sandbox):
    url = sandbox.start()
    yield url
    sandbox.stop()


@pytest.mark.enable_socket
def test_serving(sandbox, served, caplog):
    caplog.set_level("DEBUG", logger="werkzeug")
    assert requests.post(served + PATH, json=told(), timeout=5).status_code == 200
    assert len(sandbox.writes()) == 1
    assert TOKEN not in "".join(
        one.getMessage() for one in caplog.records if one.name == "werkzeug"
    )
    sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        requests.post(served + PATH, json=told(), timeout=5)
    sandbox.stop()
    again = sandbox.start()
    assert requests.post(again + PATH, json=told(), timeout=5).status_code == 200
    assert sandbox.doubled() == 1


@pytest.mark.enable_socket
def test_its_url_is_set_while_it_serves():
    sandbox = Sandbox(integration())
    sandbox.start("127.0.0.1", 0)
    assert requests.post(sandbox.url + PATH, json=told(), timeout=5).status_code == 200
    sandbox.stop()
    assert sandbox.url == ""


@pytest.mark.enable_socket
def test_serving_on_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    sandbox = Sandbox()
    assert sandbox.start("::1").startswith("http://[::1]:")
    sandbox.stop()


@pytest.mark.enable_socket
def test_dropping_a_connection_after_writing(sandbox, served):
    sandbox.behave(drop_share=1)
    parts = urlsplit(served)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    connection.request("POST", PATH, json.dumps(told()))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    connection.close()
    assert len(sandbox.comments()) == 1
    assert sandbox.app.test_client().post(PATH, json=told()).status_code == 200, "nothing to drop"


@pytest.mark.enable_socket
def test_hanging_after_writing_until_stopped(sandbox, served):
    sandbox.behave(hang_share=1)
    with pytest.raises(requests.ReadTimeout):
        requests.post(served + PATH, json=told(), timeout=(5, 0.1))
    assert len(sandbox.comments()) == 1
    sandbox.stop()


def test_waiting_ends_with_stop(sandbox):
    waiting = threading.Thread(target=sandbox.wait, args=(60,))
    waiting.start()
    sandbox.stop()
    waiting.join(5)
    assert not waiting.is_alive()


@pytest.mark.enable_socket
def test_many_at_once_are_counted_right(sandbox, served):
    def work(number):
        for _ in range(5):
            requests.post(served + PATH, json=told(number=str(number)), timeout=5)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.n for one in sandbox.writes()] == list(range(1, 31))
    assert sandbox.doubled() == 24
