"""`wsgi.py` under other servers: it receives, delivers, and settles deliveries in flight."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import requests
from commands import lines

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[2]
URL = "http://{}/api/v1/webhooks/hook-of-cloud-a-0001"
GUNICORN = ("gunicorn", "--graceful-timeout", "20", "--no-control-socket", "--bind", "{}")
SERVERS = {
    "gunicorn, two workers": (*GUNICORN, "--workers", "2", "--threads", "4", "wsgi:application"),
    "gunicorn, loaded before it forks": (
        *(*GUNICORN, "--preload", "--workers", "2", "--threads", "4", "wsgi:application"),
    ),
    "gunicorn, one worker": (*GUNICORN, "wsgi:application"),
    "waitress": ("waitress", "--listen", "{}", "wsgi:application"),
}


@contextmanager
def serving(scene, name):
    """Run another WSGI server; yields the process and its address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        place = f"127.0.0.1:{found.getsockname()[1]}"
    module, *arguments = (word.format(place) for word in SERVERS[name])
    scene.configure()
    with (scene.folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), **scene.environ, "BRIDGE_LOG": "json"},
            stdout=log,
            stderr=log,
        )
    try:
        scene.until(lambda: ready(place))
        yield process, place
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def ready(place):
    try:
        return requests.get(f"http://{place}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def post(place, body):
    answer = requests.post(URL.format(place), data=orjson.dumps(body), timeout=20)
    assert answer.status_code == 200
    return answer.json()["event"]


def states(scene):
    found = lines("log", "--json", BRIDGE_DATABASE=scene.environ["BRIDGE_DATABASE"])
    return {line["event"]: line["state"] for line in found}


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    return process.wait(30)


@pytest.mark.parametrize("name", [name for name in SERVERS if "two" not in name])
def test_it_receives_delivers_and_settles_at_the_end(scene, cloud, name):
    with serving(scene, name) as (process, place):
        events = [post(place, cloud.created(cloud.issue())) for _ in range(4)]
        scene.until(lambda: set(states(scene).values()) == {"delivered"})
        scene.sandbox.behave(latency_ms=500)
        events += [post(place, cloud.created(cloud.issue())) for _ in range(2)]
        scene.until(lambda: "sending" in states(scene).values())
        assert end(process) == 0
    told = states(scene)
    assert told.keys() == set(events)
    assert set(told.values()) <= {"delivered", "queued"}, "nothing is left in between"
    assert len(scene.sandbox.writes()) == list(told.values()).count("delivered") >= 5
    assert scene.sandbox.doubled() == 0


@pytest.mark.parametrize("name", [name for name in SERVERS if "two" in name or "loaded" in name])
def test_workers_that_are_replaced_go_on_with_what_there_is(scene, cloud, name):
    with serving(scene, name) as (process, place):
        scene.sandbox.behave(latency_ms=100)
        before = children(process)
        assert len(before) == 2
        for _ in range(4):
            post(place, cloud.created(cloud.issue()))
        process.send_signal(signal.SIGHUP)
        scene.until(lambda: len(children(process)) == 2 and not children(process) & before)
        for _ in range(4):
            post(place, cloud.created(cloud.issue()))
        # Including deliveries left by the earlier workers, without a request to wake the new ones.
        scene.until(lambda: set(states(scene).values()) == {"delivered"})
        assert end(process) == 0
    assert len(states(scene)) == len(scene.sandbox.writes()) == 8
    assert scene.sandbox.doubled() == 0


def test_a_worker_that_gets_no_request_delivers(scene, cloud):
    scene.start(deliver=False)
    event = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.stop()
    with serving(scene, "gunicorn, loaded before it forks") as (process, _):
        scene.until(lambda: states(scene)[event] == "delivered")
        assert end(process) == 0


def children(process):
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(pid) for pid in told.split()}


def test_a_mistake_in_the_mappings_keeps_a_server_from_starting(scene):
    scene.configure()
    (scene.mappings / "bridge.yaml").write_text("version: 1\nhooks: 7\n")
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--no-control-socket", "--check-config", "wsgi"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **scene.environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "bridge.yaml:2:8" in done.stderr
