"""Health checks and metrics: /healthz, /readyz, /metrics."""

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from bridge import config
from bridge.app import Bridge
from bridge.store import Totals
from bridge.web import create, health, metrics


@pytest.fixture
def client(bridge):
    app = Flask(__name__)
    app.register_blueprint(health.blueprint(bridge))
    return app.test_client()


def test_it_lives_whatever_happens(bridge, client):
    bridge.room = False
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("room", "troubles", "status", "word"),
    [
        (True, (), 200, "ok"),
        (True, ("the database cannot be reached",), 200, "degraded"),
        (False, ("the database cannot be reached",), 503, "not ready"),
        (False, (), 503, "not ready"),
    ],
)
def test_it_is_ready_while_it_can_keep_events(bridge, client, room, troubles, status, word):
    bridge.room, bridge.troubles = room, troubles
    answer = client.get("/readyz")
    assert answer.status_code == status
    assert answer.json == {"status": word, "degraded": list(troubles), "routes": 2}


def samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_without_a_database_the_rest_is_told(bridge, client, logged):
    bridge.rows = OperationalError("SELECT 1", {"body": "not for the log"}, Exception("gone"))
    answer = client.get("/metrics")
    found = samples(answer.text)
    assert answer.status_code == 200
    assert found["bridge_database_up",] == 0
    assert found["bridge_spool_waiting",] == 1
    assert found["bridge_verdicts_total", "passes_filter", "deliver"] == 2
    assert found["bridge_verdicts_total", "claimed", "duplicate"] == 1
    assert not [name for name in found if name[0] == "bridge_events"]
    assert "not for the log" not in str(logged)


def test_the_account_becomes_gauges():
    account = Totals(
        events={"deliver": 3, "duplicate": 2},
        deliveries={"delivered": 2, "parked": 1},
        open={"aha": {"parked": 1}},
        destinations={"aha": {"paused": "gone"}, "other": {"paused": ""}},
        oldest=1,
    )
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics._gauges(account)
        for sample in family.samples
    }
    assert found == {
        ("bridge_events", "deliver"): 3,
        ("bridge_events", "duplicate"): 2,
        ("bridge_deliveries", "delivered"): 2,
        ("bridge_deliveries", "parked"): 1,
        ("bridge_destination_paused", "aha"): 1,
        ("bridge_destination_paused", "other"): 0,
    }


BRIDGE = """
version: 1
hooks: {main: {source: jira, token: hook-of-the-only-one}}
destinations: {aha: {kind: aha, url: https://acme.aha.io, token: t, run_as: {name: B, email: b@x}}}
"""


def test_what_nobody_foresaw_in_a_view_is_told_without_its_values(tmp_path, logged):
    """The readiness check of a bridge that was never started raises an error."""
    (tmp_path / "bridge.yaml").write_text(BRIDGE)
    environ = {"BRIDGE_MAPPINGS": str(tmp_path), "BRIDGE_DATABASE": f"sqlite:///{tmp_path}/b.db"}
    made = Bridge(config.settings(environ), {})
    client = create(made).test_client()
    answer = client.get("/readyz?secret=hush")
    assert answer.status_code == 503
    assert answer.mimetype == "text/plain"
    [line] = logged
    assert (line["event"], line["error"]) == ("door.failed", "AssertionError")
    assert line["where"]
    assert "hush" not in str(line)
    assert client.get("/nowhere").status_code == 404
