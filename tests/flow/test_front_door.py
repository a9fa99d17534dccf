"""The front door of `serve`, over raw sockets: slow, broken, large and ambiguous senders."""

from __future__ import annotations

import gzip
import hmac
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import orjson
import pytest
import requests
from commands import lines
from test_cli_serving import address, children, ended, post, ready, running

pytestmark = pytest.mark.enable_socket

TOKEN = "hook-of-cloud-a-0001"
SECRET = "a secret of the hook"
PATH = f"/api/v1/webhooks/{TOKEN}"
#: How long a body may take here, in seconds.
SECONDS = 2
STALLED = 500


@pytest.fixture(scope="module")
def served(make_scene):
    """One `web` for all tests here: (the process, its settings, its scene)."""
    scene = make_scene()
    scene.hook("cloud_b", secret=SECRET)
    scene.configure()
    environ = {
        **scene.environ,
        "BRIDGE_PORT": "0",
        "BRIDGE_LOG": "json",
        "BRIDGE_BODY_SECONDS": str(SECONDS),
        "BRIDGE_BODY_RATE": "100KiB",
        "BRIDGE_IDLE_SECONDS": "2",
        "BRIDGE_CONNECTIONS": "2000",
        "BRIDGE_MAX_BODY": "32MiB",
    }
    log = scene.folder / "log"
    # Not a pipe: it would fill up unread, with a line for each of hundreds of refusals.
    with log.open("w") as stderr, running("web", environ, stderr=stderr) as process:
        ready(process, scene)
        yield process, environ, scene
        process.terminate()
        assert process.wait(30) == 0
    assert TOKEN not in log.read_text()


def head(*headers, path=PATH, method="POST", version="1.1"):
    told = "".join(f"{header}\r\n" for header in headers)
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n{told}\r\n".encode()


@contextmanager
def talking(process, *parts):
    """Open a connection, send bytes on it, and return it."""
    with closing(socket.create_connection(address(process), timeout=20)) as open_:
        for part in parts:
            open_.sendall(part)
        yield open_


def answers(connection):
    """Read until the other side closes, and return all of it."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def answer(connection):
    """Read one answer, and leave the connection open."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65_536) or b"\r\n\r\n"
    said, _, rest = found.partition(b"\r\n\r\n")
    length = int(said.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(rest) < length:
        rest += connection.recv(65_536)
    return said + b"\r\n\r\n" + rest


def kept(environ, event):
    found = lines("log", "--json", BRIDGE_DATABASE=environ["BRIDGE_DATABASE"])
    [line] = [line for line in found if line["event"] == event]
    return line


def reasons(environ, beginning):
    found = lines("log", "--json", "--limit", "2000", BRIDGE_DATABASE=environ["BRIDGE_DATABASE"])
    return [line["reason"] for line in found if line["reason"].startswith(beginning)]


def event_of(told):
    return orjson.loads(told.partition(b"\r\n\r\n")[2])["event"]


def test_500_senders_that_stop_in_the_middle_hold_nobody_up(served, cloud):
    process, environ, _ = served
    with ExitStack() as held, ThreadPoolExecutor(4) as pool:
        begun = time.monotonic()
        stalled = [
            held.enter_context(talking(process, head("Content-Length: 4711") + b'{"webhookEvent"'))
            for _ in range(STALLED)
        ]
        # While they stand there, others are answered, and so is health.
        bodies = [orjson.dumps(cloud.created(cloud.issue())) for _ in range(40)]
        told = list(pool.map(lambda body: post(process, body).status_code, bodies))
        assert told == [200] * len(bodies)
        for path in ("healthz", "readyz", "metrics"):
            assert requests.get(f"{process.url}/{path}", timeout=5).status_code == 200
        # Each of them gets a 408, and its connection is closed.
        codes = Counter(answers(one).split(b"\r\n", 1)[0] for one in stalled)
        assert codes == {b"HTTP/1.1 408 Request Timeout": STALLED}
        assert time.monotonic() - begun >= SECONDS
    told = reasons(environ, "only 15 of 4711 bytes arrived in ")
    assert len(told) == STALLED


def test_the_row_of_a_sender_that_was_too_slow(served):
    process, environ, _ = served
    with talking(process, head("Content-Length: 100") + b"0123456789") as slow:
        told = answers(slow)
    assert b"\r\nconnection: close\r\n" in told.lower()
    line = kept(environ, event_of(told))
    assert line["verdict"] == "rejected"
    assert line["reason"] == f"only 10 of 100 bytes arrived in {SECONDS} s"


def test_a_sender_that_dribbles_is_too_slow_and_one_with_much_to_say_is_not(served, cloud):
    process, environ, scene = served
    body = orjson.dumps({**cloud.created(cloud.issue()), "more": "x" * 600_000})
    with talking(process, head(f"Content-Length: {len(body)}")) as sender:
        begun = time.monotonic()
        # As slow as the least rate lets it: longer on its way than a small body may be.
        for start in range(0, len(body), 20_000):
            due = begun + start * SECONDS * 1.5 / len(body)
            scene.until(lambda due=due: time.monotonic() >= due)
            sender.sendall(body[start : start + 20_000])
        told = answer(sender)
    assert time.monotonic() - begun > SECONDS
    assert told.startswith(b"HTTP/1.1 200 OK")
    assert kept(environ, event_of(told))["verdict"] != "rejected"
    with talking(process, head("Transfer-Encoding: chunked")) as dribbling:
        dribbling.settimeout(0.05)
        told, begun = b"", time.monotonic()
        while not told and time.monotonic() < begun + 20:
            dribbling.sendall(b"1\r\n \r\n")
            with suppress(TimeoutError):
                told = dribbling.recv(4096)
    assert told.startswith(b"HTTP/1.1 408 ")


def test_a_sender_that_goes_away_in_the_middle_leaves_a_row(served):
    process, environ, scene = served
    with talking(process, head("Content-Length: 333") + b"0123456"):
        pass
    scene.until(lambda: reasons(environ, "only 7 of 333 bytes arrived"))
    with talking(process, head("Transfer-Encoding: chunked") + b"4\r\n1234\r\n"):
        pass
    scene.until(lambda: reasons(environ, "only 4 bytes arrived, and no end"))


@pytest.mark.parametrize(
    "said", [b"", b"POST /api/v1", head("X-A: b")[:-2], b"\r\n", b"GET /healthz HTTP/1.1\r\nA: "]
)
def test_a_connection_without_a_request_is_closed(served, said):
    process, _, _ = served
    with talking(process, said) as silent:
        begun = time.monotonic()
        assert answers(silent) == b""
    assert time.monotonic() - begun >= 1.5


def test_a_connection_is_used_again_and_closed_when_it_rests(served, cloud):
    process, _, _ = served
    body = orjson.dumps(cloud.created(cloud.issue()))
    request = head(f"Content-Length: {len(body)}") + body
    with talking(process) as one:
        for _ in range(3):
            one.sendall(request)
            assert answer(one).startswith(b"HTTP/1.1 200 OK")
        begun = time.monotonic()
        assert answers(one) == b""
    assert time.monotonic() - begun >= 1.5
    with talking(process, request + request + head(method="GET", path="/healthz")) as one:
        assert answers(one).count(b"HTTP/1.1 200 OK") == 3, "requests may come one upon another"


AMBIGUOUS = {
    "both": ("Content-Length: 2", "Transfer-Encoding: chunked"),
    "both, the other way round": ("Transfer-Encoding: chunked", "Content-Length: 2"),
    "both, and chunked is spelt otherwise": ("content-length: 19", "transfer-encoding: Chunked"),
    "two lengths": ("Content-Length: 2", "Content-Length: 3"),
    "a list of lengths": ("Content-Length: 2, 2",),
    "a signed length": ("Content-Length: +2",),
    "chunked twice": ("Transfer-Encoding: chunked, chunked",),
    "something that is nearly chunked": ("Transfer-Encoding: xchunked",),
    "a space before the colon": ("Transfer-Encoding : chunked",),
    "a length beyond all bounds": (f"Content-Length: {'9' * 30}",),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_body_whose_end_is_not_clear_is_refused_before_anything_is_taken(served, name):
    process, environ, _ = served
    before = len(lines("log", "--json", "--limit", "2000", **database(environ)))
    body = b'13\r\n{"webhookEvent":"x"}\r\n0\r\n\r\n'
    with talking(process, head(*AMBIGUOUS[name]) + body) as sender:
        told = answers(sender)
    assert told.split(b" ")[1] in (b"400", b"501"), told
    assert told.count(b"HTTP/1.1 ") == 1
    assert len(lines("log", "--json", "--limit", "2000", **database(environ))) == before


def database(environ):
    return {"BRIDGE_DATABASE": environ["BRIDGE_DATABASE"]}


def test_chunked_bodies_are_taken(served, cloud):
    process, environ, _ = served
    body = orjson.dumps(cloud.created(cloud.issue()))
    halves = b"".join(b"%x\r\n%s\r\n" % (len(h), h) for h in (body[:99], body[99:]))
    chunked = head("Transfer-Encoding: chunked") + halves + b"0\r\nX-Trailer: 1\r\n\r\n"
    with talking(process, chunked) as sender:
        told = answer(sender)
    assert kept(environ, event_of(told))["verdict"] in ("deliver", "duplicate")


def test_a_head_without_end_is_refused(served):
    process, _, _ = served
    with talking(process, b"POST / HTTP/1.1\r\n") as sender:
        try:
            for _ in range(40):
                sender.sendall(b"X-Header: " + b"a" * 8000 + b"\r\n")
            told = answers(sender)
        except (BrokenPipeError, ConnectionResetError):
            told = b"HTTP/1.1 431 "
    assert told.startswith(b"HTTP/1.1 431 ")


def test_who_says_nothing_more_after_its_request_is_answered(served):
    process, _, _ = served
    with talking(process, head("Content-Length: 2") + b"{}") as sender:
        sender.shutdown(socket.SHUT_WR)
        assert answers(sender).startswith(b"HTTP/1.1 200 OK")


def test_a_body_that_is_too_large_is_refused_and_its_sender_hears_of_it(served):
    process, _, _ = served
    size = (32 << 20) + 1
    with talking(process, head(f"Content-Length: {size}")) as sender:
        block = b"x" * (1 << 20)
        for _ in range(size >> 20):
            sender.sendall(block)
        assert answer(sender).startswith(b"HTTP/1.1 413 ")
    with talking(process, head(f"Content-Length: {size}", "Expect: 100-continue")) as sender:
        assert answers(sender).startswith(b"HTTP/1.1 413 "), "without the body being asked for"


def test_a_body_that_must_be_asked_for_is_asked_for(served):
    process, _, _ = served
    with talking(process, head("Content-Length: 2", "Expect: 100-continue")) as sender:
        assert sender.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sender.sendall(b"{}")
        assert answer(sender).startswith(b"HTTP/1.1 200 OK")


# Packed bodies


def send(process, body, token, **headers):
    url = f"{process.url}/api/v1/webhooks/{token}"
    return requests.post(url, data=body, headers=headers, timeout=20).json()["event"]


def signed(body):
    return "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()


def test_a_gzip_body_is_unpacked_and_its_signature_is_that_of_the_raw_bytes(served, cloud):
    process, environ, _ = served
    body = orjson.dumps(cloud.created(cloud.issue()))
    packed = gzip.compress(body)
    headers = {"Content-Encoding": "gzip", "X-Hub-Signature": signed(packed)}
    right = kept(environ, send(process, packed, "hook-of-cloud-b-0002", **headers))
    assert right["verdict"] in ("deliver", "duplicate")
    assert right["name"] == "jira:issue_created"
    headers["X-Hub-Signature"] = signed(body)
    wrong = kept(environ, send(process, packed, "hook-of-cloud-b-0002", **headers))
    assert wrong["verdict"] == "rejected"
    assert "signature" in wrong["reason"]


PACKED = {
    "a bomb": ("gzip", gzip.compress(bytes(33 << 20)), "unpacks to more than 33554432 bytes"),
    "no gzip": ("gzip", b"{}", "is not gzip, although Content-Encoding names it"),
    "half of it": ("x-gzip", gzip.compress(b"{}" * 99)[:-9], "is not gzip"),
    "something behind it": ("gzip", gzip.compress(b"{}") + b"more", "is not gzip"),
    "another coding": ("br", b"{}", "Content-Encoding 'br' is not understood: send gzip"),
    "two of them": ("gzip, gzip", b"{}", "Content-Encoding 'gzip, gzip' is not understood"),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_body_that_cannot_be_unpacked_is_a_row_that_says_so(served, name):
    process, environ, _ = served
    coding, body, why = PACKED[name]
    line = kept(environ, send(process, body, TOKEN, **{"Content-Encoding": coding}))
    assert line["verdict"] == "rejected"
    assert why in line["reason"]


# Memory


def peak_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_bodies_of_millions_of_values_take_little_memory_and_nobody_s_time(served, cloud):
    process, environ, _ = served
    huge = b'{"webhookEvent":"x","a":[' + b"{}," * 10_000_000 + b"{}]}"
    normal = [orjson.dumps(cloud.created(cloud.issue())) for _ in range(10)]
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(post, process, huge) for _ in range(6)]
        waits = []
        while not all(one.done() for one in sent) or len(waits) < len(normal):
            begun = time.monotonic()
            assert post(process, normal[len(waits) % len(normal)]).status_code == 200
            waits.append(time.monotonic() - begun)
        events = [one.result().json()["event"] for one in sent]
    [receiving] = children(process)
    assert peak_mb(receiving) < 400
    waits.sort()
    assert waits[len(waits) // 2] < 1
    assert "more than 500000 values" in kept(environ, events[-1])["reason"]


def test_many_large_bodies_at_a_time_take_turns_in_memory(served):
    process, _, _ = served
    size = 8 << 20
    large = b'{"webhookEvent":"x","a":"' + b"x" * size + b'"}'
    with ExitStack() as held, ThreadPoolExecutor(24) as pool:
        # Some never send the end, and hold what they sent until their time is over.
        for _ in range(8):
            part = head(f"Content-Length: {len(large)}") + large[: 4 << 20]
            open_ = held.enter_context(talking(process))
            pool.submit(open_.sendall, part)
        told = Counter(pool.map(lambda _: post(process, large).status_code, range(24)))
    assert told == {200: 24}
    [receiving] = children(process)
    assert peak_mb(receiving) < 400


def test_with_too_many_connections_the_one_that_waited_longest_is_closed(scene):
    scene.configure()
    environ = {**scene.environ, "BRIDGE_PORT": "0", "BRIDGE_CONNECTIONS": "16"}
    with running("web", environ) as process, ExitStack() as held:
        ready(process, scene)
        first = held.enter_context(talking(process, head("Content-Length: 9") + b"{"))
        for _ in range(40):
            held.enter_context(talking(process, head("Content-Length: 9") + b"{"))
        first.settimeout(10)
        assert answers(first) == b""
        assert requests.get(f"{process.url}/healthz", timeout=5).ok
        assert post(process, b"{}").status_code == 200
        assert ended(process)[0] == 0
