"""The limits on connections, over sockets, with a minimal application."""

import contextlib
import signal
import socket
import threading

import pytest
import uvicorn

from bridge.web.connections import connection_class

pytestmark = pytest.mark.enable_socket

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


async def application(scope, receive, send):
    """Answer with the path, after reading the body unless the path is /unread."""
    more = not scope["path"].startswith("/unread")
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message["more_body"]
    body = scope["path"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def place():
    """A server with an idle time of one second and a limit of eight connections."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http=connection_class(idle_s=1, max_connections=8),
        loop="uvloop", ws="none", lifespan="off", log_config=None, access_log=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()
    server.handle_exit(signal.SIGTERM, None)
    thread.join()


def talk(place, *parts, end=False):
    """Send the parts, and return everything received until the connection is closed."""
    with contextlib.closing(socket.create_connection(place, timeout=10)) as open_:
        for part in parts:
            open_.sendall(part)
        if end:
            open_.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: open_.recv(65_536), b""))


@pytest.mark.parametrize("said", [b"", b"\r\n", GET[:20]])
def test_a_connection_without_a_request_is_closed(place, said):
    assert talk(place, said) == b""


def test_requests_may_come_one_upon_another(place):
    told = talk(place, b"".join(GET % number for number in range(5)))
    assert [told.count(b"\r\n\r\n/%d" % number) for number in range(5)] == [1] * 5


def test_a_request_upon_another_one_whose_body_is_still_to_come(place):
    head = b"POST /7 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    assert talk(place, GET % 1 + head, b"body").count(b"HTTP/1.1 200") == 2


def test_a_head_that_is_too_large_is_refused(place):
    told = talk(place, b"GET / HTTP/1.1\r\n", b"A: " + b"a" * 70_000)
    assert told.startswith(b"HTTP/1.1 431 ")
    assert talk(place, b"GET /8 HTTP/1.1\r\nA: " + b"a" * 60_000 + b"\r\n\r\n").endswith(b"/8")


def test_trailers_are_read_and_forgotten(place):
    head = b"POST /9 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    told = talk(place, head + b"2\r\n{}\r\n0\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n" + GET % 3)
    assert told.count(b"HTTP/1.1 200") == 2


def test_what_is_answered_unread_may_be_sent_to_its_end(place):
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    assert talk(place, head + b"x" * 900_000 + GET % 4).count(b"HTTP/1.1 200") == 2


def test_who_will_say_nothing_more_is_answered_if_all_is_said(place):
    head = b"POST /5 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    assert talk(place, head + b"body", end=True).endswith(b"/5")
    assert talk(place, head + b"bo", end=True) == b""
    assert talk(place, b"", end=True) == b""


def test_a_wish_for_another_protocol_is_not_fulfilled(place):
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    head = b"POST /6 HTTP/1.1\r\nHost: x\r\n" + upgrade + b"Content-Length: 4\r\n\r\n"
    told = talk(place, head + b"body")
    assert told.endswith(b"/6")
    assert b"connection: close" in told.lower()


def test_the_connection_that_has_waited_longest_makes_room(place):
    with contextlib.ExitStack() as held:
        many = [
            held.enter_context(contextlib.closing(socket.create_connection(place, timeout=10)))
            for _ in range(12)
        ]
        for one in many[:4]:
            assert one.recv(10) == b""
        many[-1].sendall(GET % 2)
        assert many[-1].recv(1000).startswith(b"HTTP/1.1 200")
