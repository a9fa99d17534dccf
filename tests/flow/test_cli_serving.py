"""`serve`, `web`, `worker` and `sandbox` as processes: what they promise when they are ended."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import requests
from commands import lines, refused, run

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[2]
TOKEN = "hook-of-cloud-a-0001"


@contextmanager
def running(command, environ, *arguments, stderr=subprocess.PIPE):
    """Run a command as a process; gives it with what it printed first and where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", command, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        said = process.stdout.readline()
        found = re.search(r"http://\S+?:\d+", said)
        process.url = found[0] if found else ""
        process.said = said
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ready(process, scene):
    def answers():
        try:
            return requests.get(f"{process.url}/readyz", timeout=1).ok
        except requests.RequestException:
            return False

    scene.until(answers)
    return process


def ended(process, number=signal.SIGTERM):
    """End a process, and return (exit code, what it printed, what it logged)."""
    process.send_signal(number)
    process.wait(30)
    return process.returncode, process.stdout.read(), process.stderr.read()


def children(process):
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in told.split()]


def post(process, body, token=TOKEN):
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return requests.post(f"{process.url}/api/v1/webhooks/{token}", data=data, timeout=20)


@pytest.fixture
def environ(scene):
    scene.configure()
    return {**scene.environ, "BRIDGE_PORT": "0", "BRIDGE_LOG": "json"}


def log(environ):
    return lines("log", "--json", BRIDGE_DATABASE=environ["BRIDGE_DATABASE"])


def test_serve_receives_delivers_and_ends_when_everything_in_flight_is_done(scene, environ, cloud):
    scene.sandbox.behave(latency_ms=400)
    with running("serve", environ) as process:
        ready(process, scene)
        assert requests.get(f"{process.url}/api/v1/webhooks/{TOKEN}", timeout=5).status_code == 200
        assert post(process, b"{}", token="no-such-token-00").status_code == 410
        bodies = [cloud.created(cloud.issue()) for _ in range(2)]
        bodies.append(cloud.said(cloud.comment("what Ana wrote"), cloud.issue()))
        events = [post(process, body).json()["event"] for body in bodies]
        scene.until(lambda: any(line["state"] == "sending" for line in log(environ)))
        code, out, err = ended(process)
    assert code == 0
    told = {line["event"]: line["state"] for line in log(environ)}
    assert told.keys() == set(events)
    assert set(told.values()) <= {"delivered", "queued"}
    written = len(scene.sandbox.writes())
    assert written == list(told.values()).count("delivered") >= 1
    for secret in (TOKEN, "callback-0001", "no-such-token-00", "what Ana wrote"):
        assert secret not in process.said + out + err
    assert "/readyz" in out
    assert "dc_b" in out


def begun(process, body):
    """Begin to post a body, and keep the end of it back."""
    slow = socket.create_connection(address(process))
    head = f"POST /api/v1/webhooks/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
    slow.settimeout(20)
    return slow


def address(process):
    host, port = process.url.removeprefix("http://").split(":")
    return host, int(port)


def test_what_was_begun_is_answered_and_who_never_ends_holds_nobody_up(scene, environ, cloud):
    body = orjson.dumps(cloud.created(cloud.issue()))
    with (
        running("serve", environ) as process,
        begun(ready(process, scene), body) as slow,
        begun(process, body),
    ):
        # Answered after both were taken up.
        assert requests.get(f"{process.url}/healthz", timeout=5).ok
        process.send_signal(signal.SIGINT)
        # It listens no more, and still reads to the end what was begun.
        scene.until(lambda: turned_away(*address(process)))
        slow.sendall(body[10:])
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert process.wait(30) == 0
    assert len(log(environ)) == 1


def turned_away(*where):
    try:
        socket.create_connection(where, timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("which", [[0], [1], [0, 1]], ids=["receives", "delivers", "both"])
def test_when_a_working_process_dies_another_takes_over_and_nobody_is_turned_away(
    scene, environ, cloud, which
):
    with running("serve", environ) as process:
        ready(process, scene)
        before = children(process)
        assert len(before) == 2
        bodies = [orjson.dumps(cloud.created(cloud.issue())) for _ in range(40)]
        for number in which:
            os.kill(before[number], signal.SIGKILL)
            scene.until(lambda pid=before[number]: not _lives(pid))
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda body: post(process, body).status_code, bodies))
        assert answers == [200] * len(bodies)
        scene.until(lambda: {line["state"] for line in log(environ)} == {"delivered"})
        others = [pid for number, pid in enumerate(before) if number not in which]
        assert set(children(process)) & set(before) == set(others)
        assert len(log(environ)) == len(bodies)
        assert ended(process)[0] == 0
    assert scene.sandbox.doubled() == 0


def dies(process, scene, which):
    """Kill one of the two working processes, and wait until there is another in its place."""
    before = children(process)
    os.kill(before[which], signal.SIGKILL)
    scene.until(lambda: process.poll() is not None or len(set(children(process)) - {*before}) == 1)
    assert process.poll() is None, process.stderr.read()


@pytest.mark.parametrize("which", [0, 1], ids=["receives", "delivers"])
def test_a_process_that_dies_again_and_again_is_started_each_time(scene, environ, cloud, which):
    with running("serve", environ) as process:
        ready(process, scene)
        for _ in range(3):
            scene.until(lambda: len(children(process)) == 2)
            dies(process, scene, which)
        assert post(process, cloud.created(cloud.issue())).status_code == 200
        scene.until(lambda: [line["state"] for line in log(environ)] == ["delivered"])
        code, _, err = ended(process)
    died = [line for line in map(orjson.loads, err.splitlines()) if line["event"] == "process.died"]
    assert code == 0
    assert [line["exit_code"] for line in died] == [-signal.SIGKILL] * 3


@pytest.mark.parametrize("which", [0, 1], ids=["receives", "delivers"])
def test_a_process_that_dies_while_the_files_are_wrong_goes_on_with_the_last_good_ones(
    scene, environ, cloud, which
):
    scene.route(when="project = PLAT")
    with running("serve", environ) as process:
        ready(process, scene)
        scene.route(when="project = CORE")  # what is in use then is not what it started with
        scene.until(lambda: decided(process, environ, cloud) == "deliver")
        (scene.mappings / "all.yaml").write_text("version: 1\nfrom: [cloud_a]\n")
        dies(process, scene, which)
        ready(process, scene)
        event = post(process, cloud.created(cloud.issue("CORE-1"))).json()["event"]
        scene.until(lambda: told(environ, event)["state"] == "delivered")
        internal = post(process, cloud.created(cloud.issue("PLAT-1"))).json()["event"]
        assert told(environ, internal)["verdict"] == "filtered"
        degraded = scene.until(
            lambda: requests.get(f"{process.url}/readyz", timeout=5).json()["degraded"]
        )
        assert "all.yaml" in degraded[0]
        code, _, err = ended(process)
    assert (code, "process.died" in err, "mappings.kept_the_last" in err) == (0, True, True)


def told(environ, event):
    [line] = [line for line in log(environ) if line["event"] == event]
    return line


def decided(process, environ, cloud):
    """Say what becomes of an issue of the project CORE."""
    event = post(process, cloud.created(cloud.issue("CORE-1"))).json()["event"]
    return told(environ, event)["verdict"]


@pytest.mark.parametrize("command", ["serve", "web", "worker"])
def test_it_starts_with_the_last_good_files_and_says_so(scene, environ, command):
    with running(command, environ) as process:
        assert command == "worker" or ready(process, scene)
        assert ended(process)[0] == 0
    (scene.mappings / "all.yaml").write_text("version: 1\nfrom: [cloud_a]\n")
    with running(command, environ) as process:
        assert command == "worker" or ready(process, scene)
        code, _, err = ended(process)
    assert code == 0
    assert f"{scene.mappings}/all.yaml:1:1: to: is missing" in err
    assert "the mappings are wrong: starting with the last good ones" in err


#: What makes stdin the terminal of a session of its own, and then is `aha-bridge serve`.
IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "bridge", "serve"])
"""


def test_when_its_terminal_closes_it_ends_in_order(scene, environ, cloud):
    scene.sandbox.behave(latency_ms=500)
    controlling, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    try:
        os.close(terminal)
        said = b""
        while not (found := re.search(rb"http://\S+?:\d+", said)):
            said += os.read(controlling, 4096)
        process.url = found[0].decode()
        ready(process, scene)
        both = children(process)
        event = post(process, cloud.created(cloud.issue())).json()["event"]
        scene.until(lambda: [line["state"] for line in log(environ)] == ["sending"])
        os.close(controlling)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert not any(map(_lives, both))
    assert [(line["event"], line["state"]) for line in log(environ)] == [(event, "delivered")]
    assert turned_away(*address(process))


def test_when_the_parent_dies_the_port_is_free_at_once(scene, environ):
    with running("serve", environ) as process:
        ready(process, scene)
        both = children(process)
        process.kill()
        scene.until(lambda: turned_away(*address(process)), 5)
        scene.until(lambda: not any(map(_lives, both)), 5)
        with socket.create_server(address(process)):
            pass


def _lives(pid):
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return told.rpartition(")")[2].split()[0] != "Z"


def test_a_port_that_is_taken_is_one_clear_line(scene, environ):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("serve", **{**environ, "BRIDGE_PORT": port})
    assert said == (
        f"aha-bridge: cannot listen on 127.0.0.1:{port}: address already in use;"
        " another one: --host, --port\n"
    )


def test_the_stand_in_wants_a_port_too():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("sandbox", "--port", port)
    assert f"Port {port} is in use by another program" in said


def test_events_are_taken_in_while_the_database_is_away(scene, environ, cloud):
    away = {"BRIDGE_DATABASE": "postgresql://nobody@127.0.0.1:1/x"}
    spool = scene.folder / "spool"
    with running("web", {**environ, **away, "BRIDGE_SPOOL": str(spool)}) as process:
        ready(process, scene)
        assert post(process, cloud.created(cloud.issue())).status_code == 200
        assert requests.get(f"{process.url}/readyz", timeout=5).json()["status"] == "degraded"
        code, _, err = ended(process)
    assert code == 0
    assert "events go to the spool until it is back" in err
    [segment] = spool.glob("*.spool")
    assert b"jira:issue_created" in segment.read_bytes()


def test_serve_says_everything_that_is_wrong_and_does_not_start(scene, environ):
    (scene.mappings / "bridge.yaml").write_text("version: 1\nhooks: {a: {source: jirra}}\n")
    database = f"sqlite:///{scene.folder}/not-yet.db"
    said = refused("serve", **{**environ, "BRIDGE_DATABASE": database, "BRIDGE_PROT": "1"})
    assert f"{scene.mappings}/bridge.yaml:2:" in said
    assert "BRIDGE_PROT: warning: " in said
    assert not (scene.folder / "not-yet.db").exists()


def test_the_two_halves_are_the_whole(scene, environ, cloud):
    with running("web", environ) as web, running("worker", environ) as worker:
        ready(web, scene)
        assert worker.said == "delivering to aha\n"
        event = post(web, cloud.created(cloud.issue())).json()["event"]
        scene.until(lambda: [line["state"] for line in log(environ)] == ["delivered"])
        assert ended(web)[0] == 0
        assert ended(worker)[0] == 0
    [written] = scene.sandbox.writes()
    assert (written.kind, log(environ)[0]["event"]) == ("record", event)


def test_the_stand_in_for_aha(scene, cloud):
    with running("sandbox", {}, "--port", "0", "--fail", "503:1", "--latency", "1") as process:
        process.stdout.readline()
        callback = process.stdout.readline().split()[1]
        assert requests.post(callback, data=b"{}", timeout=5).status_code == 503
        root = process.url
        requests.post(f"{root}/sandbox/control", json={"fail_share": 0}, timeout=5)
        body = orjson.dumps(cloud.created(cloud.issue()))
        assert requests.post(callback, data=body, timeout=5).status_code == 200
        assert len(requests.get(f"{root}/sandbox/writes", timeout=5).json()) == 1
        assert ended(process, signal.SIGINT)[0] == 0
    wrong = run("sandbox", "--fail", "often")
    assert (wrong.exit_code, "is like 500:0.1" in wrong.stderr) == (2, True)


def test_wsgi_application(scene, environ, cloud):
    code = f"""
from werkzeug.test import Client
from wsgi import application
client = Client(application)
print(client.post("/api/v1/webhooks/{TOKEN}", data=input()).status_code, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        input=orjson.dumps(cloud.created(cloud.issue())).decode(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "200\n")
    assert len(log(environ)) == 1
