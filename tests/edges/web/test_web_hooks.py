"""The WSGI webhook endpoint by itself: the stored parts of a request, and the answers."""

import io

import pytest
from flask import Flask
from werkzeug.test import Client

from bridge.errors import NotKept
from bridge.model import Reply
from bridge.web import hooks

PATH = "/api/v1/webhooks/token-of-the-only-hook"


@pytest.fixture
def client(bridge):
    app = Flask(__name__)
    app.register_blueprint(hooks.blueprint(bridge))
    return Client(hooks.WebhookEndpoint(bridge, app.wsgi_app))


def test_what_is_taken_in_of_a_request(bridge, client):
    headers = {
        "X-Hub-Signature": "sha256=00",
        "X-Atlassian-Webhook-Identifier": "743",
        "User-Agent": "Atlassian",
        "Content-Type": "application/json",
        "Cookie": "session=1",
        "Authorization": "Bearer x",
        "Bridge-Refused": "I say so",
    }
    query = "user_id=ana&user_id=bo&secret=hush&empty=&caf%C3%A9=%ff"
    answer = client.post(f"{PATH}?{query}", data=b"\x00body", headers=headers)
    [request] = bridge.accepted
    assert answer.status_code == 200
    assert answer.json == {"event": request.id}
    assert answer.headers["X-Bridge-Event"] == request.id
    assert answer.mimetype == "application/json"
    assert (request.hook, request.site, request.body) == ("main", "acme", b"\x00body")
    assert request.query == {"user_id": "ana", "empty": "", "café": "�"}
    assert request.headers == {
        "x-hub-signature": "sha256=00",
        "x-atlassian-webhook-identifier": "743",
        "user-agent": "Atlassian",
        "content-type": "application/json",
    }


def test_ids_and_instants_rise(bridge, client):
    for _ in range(3):
        client.post(PATH, data=b"{}")
    instants = [(request.id[:10], request.received) for request in bridge.accepted]
    assert instants == sorted(instants)
    assert len({request.id for request in bridge.accepted}) == 3


def test_a_source_may_answer_for_itself(bridge, client):
    bridge.reply = Reply(status=202, headers={"X-Hook-Secret": "s"}, body=b"shaken")
    answer = client.post(PATH, data=b"")
    assert (answer.status_code, answer.data) == (202, b"shaken")
    assert answer.headers["X-Hook-Secret"] == "s"
    assert "X-Bridge-Event" not in answer.headers


def test_only_what_cannot_be_kept_is_to_come_again(bridge, client, logged):
    bridge.reply = NotKept("the spool is full")
    answer = client.post(PATH, data=b"not for the log")
    assert answer.status_code == 503
    assert "X-Bridge-Event" not in answer.headers
    assert b"spool" not in answer.data
    [line] = logged
    assert (line["event"], line["log_level"], line["hook"]) == ("event.not_kept", "error", "main")
    assert client.post(PATH, data=b"x" * 1001).status_code == 503


def test_what_nobody_foresaw_is_to_come_again_and_its_values_are_not_logged(bridge, client, logged):
    bridge.reply = RuntimeError("not for the log")
    assert client.post(PATH, data=b"not for the log").status_code == 503
    [line] = logged
    assert (line["event"], line["error"]) == ("door.failed", "RuntimeError")
    assert any("accept" in place for place in line["where"])
    assert "not for the log" not in str(line)
    assert "token-of" not in str(line)


@pytest.mark.parametrize("length", ["", "x", "-5", "1_0", "0"])
def test_a_length_that_is_none_is_an_empty_body(bridge, client, length):
    answer = client.post(
        PATH, input_stream=io.BytesIO(b"rest"), environ_overrides={"CONTENT_LENGTH": length}
    )
    assert answer.status_code == 200
    assert bridge.accepted[0].body == b""


@pytest.mark.parametrize(("size", "status"), [(999, 200), (1000, 200), (1001, 413), (5000, 413)])
@pytest.mark.parametrize("said", [True, False])
def test_bodies_up_to_the_limit(bridge, client, size, status, said):
    body = b"x" * size
    environ = {"CONTENT_LENGTH": str(size) if said else "", "wsgi.input_terminated": True}
    answer = client.post(PATH, input_stream=io.BytesIO(body), environ_overrides=environ)
    assert answer.status_code == status
    if status == 200:
        assert [request.body for request in bridge.accepted] == [body]
        return
    [(request, reason)] = bridge.refused
    assert (request.body, reason) == (b"", "larger than 1000 bytes")
    assert answer.headers["X-Bridge-Event"] == request.id == answer.json["event"]


def test_a_body_that_ends_too_early_is_not_taken_for_whole(bridge, client):
    environ = {"CONTENT_LENGTH": "100"}
    answer = client.post(
        PATH, input_stream=io.BytesIO(b'{"whole": "json"}'), environ_overrides=environ
    )
    [(request, reason)] = bridge.refused
    assert answer.json == {"event": request.id}
    assert reason == "only 17 of 100 bytes arrived"
    assert bridge.accepted == []


@pytest.mark.parametrize("path", [f"{PATH}/", f"{PATH}x", PATH[:-1], "/api/v1/webhooks/"])
def test_other_tokens_are_gone(bridge, client, path):
    assert client.post(path, data=b"{}").status_code == 410
    assert bridge.accepted == []


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_processes_nothing(bridge, client, method):
    answer = getattr(client, method)(PATH)
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert getattr(client, method)(f"{PATH}x").status_code == 410
    assert bridge.accepted == []


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_not_allowed(bridge, client, method):
    assert getattr(client, method)(PATH, data=b"{}").status_code == 405
    assert bridge.accepted == []


def test_other_paths_are_for_others(client):
    assert client.post("/api/v1/other", data=b"{}").status_code == 404
