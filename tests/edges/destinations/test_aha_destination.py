"""Sending to Aha!, against a neighbour that answers over real sockets what each case wants."""

import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import orjson
import pytest

from bridge import destinations, errors, model
from bridge.core.addresses import is_private
from bridge.destinations import aha

TOKEN = "s3cr3t-token"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

network = pytest.mark.enable_socket


class Neighbour:
    """Reads requests and answers each with the next of its scripted answers, the last for ever.

    An answer is bytes, a float: wait so many seconds and close, or a function that is given the
    connection and this neighbour. b"" closes at once.
    """

    def __init__(self, *answers, greeting=b"", wrap=None):
        self.wrap = wrap
        self.answers = list(answers)
        self.greeting = greeting
        self.requests = []
        self.connections = 0
        self.enough = threading.Event()
        self.greeted = threading.Event()
        self.open = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                connection = self.wrap(connection) if self.wrap else connection
            except OSError:
                connection.close()
                continue
            self.open.append(connection)
            thread = threading.Thread(target=self._talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _talk(self, connection):
        with connection, connection.makefile("rb") as lines:
            connection.sendall(self.greeting)
            self.greeted.set()
            while request := self._read(lines):
                self.requests.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if callable(answer):
                    answer(connection, self)
                    continue
                if isinstance(answer, float):
                    self.enough.wait(answer)
                    return
                if not answer:
                    return
                connection.sendall(answer)

    @staticmethod
    def _read(lines):
        try:
            first = lines.readline().decode(errors="replace").strip()
            headers = {}
            while line := lines.readline().decode(errors="replace").strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = lines.read(int(headers.get("content-length", 0)))
        except OSError:
            return None
        return (first, headers, body) if first else None

    def drop(self):
        """Close the connections, as a server does that restarts."""
        while self.open:
            with suppress(OSError):
                self.open.pop().shutdown(socket.SHUT_RDWR)

    def close(self):
        self.enough.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.drop()
        for thread in self.threads:
            thread.join(5)


@contextmanager
def neighbour(*answers, **how):
    server = Neighbour(*answers, **how)
    try:
        yield server
    finally:
        server.close()


def target(url, *, private=True, kind="aha"):
    return model.Target(
        name="aha-platform",
        kind=kind,
        url=url,
        token=TOKEN,
        run_as=model.RunAs(name="Integration user", email="i@acme.example"),
        private=private,
    )


@contextmanager
def connected(url, *, private=True, read_timeout=5.0):
    destination = destinations.connect(
        target(url, private=private), connect_timeout=2, read_timeout=read_timeout
    )
    try:
        yield destination
    finally:
        destination.close()


def answer(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def failure(url, **how):
    """The error that a send raises, which never contains the token."""
    with connected(url, **how) as destination, pytest.raises(errors.DeliveryError) as caught:
        destination.send({"a": 1})
    error = caught.value
    assert TOKEN not in f"{error!s}{error!r}{error.answer}"
    while error is not None:
        assert TOKEN not in f"{error!s}{error!r}"
        error = error.__cause__ or error.__context__
    return caught.value


# --- kinds


def test_the_kinds_of_destinations():
    assert destinations.names() == ("aha",)


def test_an_unknown_kind_is_told_with_those_there_are():
    with pytest.raises(errors.NotFound, match="'siem'; there are: aha"):
        destinations.connect(target("https://x.example", kind="siem"))


# --- what goes over the wire


@network
def test_what_is_sent():
    body = {"webhookEvent": "comment_created", "comment": {"body": "ünï → 1"}}
    with neighbour(OK) as server, connected(server.url + "/") as destination:
        receipt = destination.send(body)
    ((first, headers, raw),) = server.requests
    assert first == f"POST /api/v1/webhooks/{TOKEN} HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"].startswith("aha-bridge/0.")
    assert not {"cookie", "authorization", "x-hook-secret"} & headers.keys()
    assert orjson.loads(raw) == body
    assert (receipt.status, receipt.answer) == (200, "ok")
    assert receipt.millis >= 0


@network
def test_the_probe_asks_without_a_body():
    with neighbour(OK) as server, connected(server.url) as destination:
        assert destination.probe().status == 200
    ((first, headers, raw),) = server.requests
    assert first.startswith("GET /api/v1/webhooks/")
    assert (raw, "content-type" in headers) == (b"", True)


@network
def test_a_connection_is_kept_for_the_next_body():
    with neighbour(OK) as server, connected(server.url) as destination:
        for _ in range(5):
            destination.send({})
    assert (len(server.requests), server.connections) == (5, 1)


@network
@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        answer(500, b"failed"),
    ],
)
def test_a_connection_is_kept_whatever_the_answer(first):
    with neighbour(first, OK) as server, connected(server.url) as destination:
        with suppress(errors.Failed):
            destination.send({})
        destination.send({})
    assert server.connections == 1


@network
def test_a_connection_that_was_closed_meanwhile_is_not_used_again():
    with neighbour(OK) as server, connected(server.url) as destination:
        destination.send({})
        server.drop()
        server.threads[1].join(5)
        destination.send({})
    assert server.connections == 2


@network
def test_a_connection_that_idled_too_long_is_not_used_again():
    with neighbour(OK) as server:
        made = aha.connect(target(server.url), connect_timeout=2, read_timeout=5, idle=0)
        made.send({})
        made.send({})
        made.close()
    assert server.connections == 2


@network
def test_many_threads_may_send_at_once():
    sent = []

    def work(destination, number):
        for count in range(10):
            sent.append(destination.send({"n": [number, count]}))

    with neighbour(OK) as server, connected(server.url) as destination:
        threads = [threading.Thread(target=work, args=(destination, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sent) == 80
    told = sorted(orjson.loads(raw)["n"] for _, _, raw in server.requests)
    assert told == sorted([n, count] for n in range(8) for count in range(10))
    assert server.connections <= 8


@network
def test_cookies_and_proxies_are_none_of_ours(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    first = answer(200, Set_Cookie="session=1; Path=/")
    with neighbour(first, OK) as server, connected(server.url) as destination:
        destination.send({})
        destination.send({})
    assert "cookie" not in server.requests[1][1]


# --- answers


@network
@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (410, errors.Gone, "410: the token is invalid"),
        (408, errors.Failed, "408"),
        (425, errors.Failed, "425"),
        (500, errors.Failed, "500"),
        (501, errors.Failed, "501"),
        (502, errors.InDoubt, "502: it is a gateway"),
        (503, errors.Failed, "503"),
        (504, errors.InDoubt, "504: a gateway gave up"),
        *[(status, errors.InDoubt, str(status)) for status in range(520, 528)],
        (519, errors.Failed, "519"),
        (528, errors.Failed, "528"),
        (599, errors.Failed, "599"),
        (300, errors.Refused, "300"),
        (400, errors.Refused, "400"),
        (401, errors.Refused, "401"),
        (403, errors.Refused, "403"),
        (404, errors.Refused, "404"),
        (413, errors.Refused, "413"),
    ],
)
def test_what_an_answer_means(status, kind, words):
    with neighbour(answer(status, b"some words")) as server:
        error = failure(server.url)
    assert type(error) is kind
    assert str(error).startswith(f"aha-platform answered {words}")
    assert (error.status, error.answer) == (status, "some words")


@network
@pytest.mark.parametrize("status", [408, 500, 503])
def test_a_destination_says_which_statuses_leave_it_in_doubt(status):
    with neighbour(answer(status), answer(502), answer(410), answer(501)) as server:
        told = replace(target(server.url), doubt=frozenset({408, 500, 502, 503}))
        made = destinations.connect(told)
        for kind in (errors.InDoubt, errors.InDoubt, errors.Gone, errors.Failed):
            with pytest.raises(kind):
                made.send({})
        made.close()


@network
def test_a_redirect_is_not_followed():
    with neighbour(OK) as elsewhere, neighbour(answer(307, Location=elsewhere.url)) as server:
        error = failure(server.url)
    assert type(error) is errors.Refused
    assert str(error) == "aha-platform answered 307"
    assert elsewhere.requests == []


@network
@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "7.5"}, 7.5),
        ({"Retry_After": "-7"}, None),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "99999"}, 3600),
        (
            {
                "Retry_After": "Wed, 01 May 2024 08:01:30 GMT",
                "Date": "Wed, 01 May 2024 08:00:00 GMT",
            },
            90,
        ),
        (
            {
                "Retry_After": "Wed, 01 May 2024 07:00:00 GMT",
                "Date": "Wed, 01 May 2024 08:00:00 GMT",
            },
            0,
        ),
        ({"Retry_After": "Wed, 01 May 2024 08:01:30 GMT"}, None),
        ({"X_Ratelimit_Reset": "42"}, 42),
        ({"X_Ratelimit_Reset": "1714550460", "Date": "Wed, 01 May 2024 08:00:00 GMT"}, 60),
        ({"X_Ratelimit_Reset": "1714550460000", "Date": "Wed, 01 May 2024 08:00:00 GMT"}, 60),
        ({"X_Ratelimit_Reset": "1714550460"}, None),
        ({"Retry_After": "3", "X_Ratelimit_Reset": "42"}, 3),
        ({"Retry_After": "?", "X_Ratelimit_Reset": "42"}, 42),
    ],
)
def test_for_how_long_a_429_wants_us_to_wait(headers, after):
    with neighbour(answer(429, b"slowly", **headers)) as server:
        error = failure(server.url)
    assert isinstance(error, errors.Throttled)
    assert (error.after, error.status) == (after, 429)


@network
@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"  a\r\n\tb\x00\x1b[31mc  ", "a b [31mc"),
        (b"x" * 2000, "x" * 500),
        (f"no {TOKEN} here".encode(), "no … here"),
        (b"\xff\xfe", "��"),
        (b"y" * 200_000, "y" * 500),
    ],
)
def test_the_beginning_of_an_answer_is_kept_for_the_log(body, kept):
    with neighbour(answer(200, body)) as server, connected(server.url) as destination:
        assert destination.send({}).answer == kept


@network
@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_status_stands_even_when_its_answer_breaks_off(broken):
    with neighbour(broken) as server, connected(server.url, read_timeout=0.2) as destination:
        assert destination.send({}).status == 200


# --- no answer


@network
@pytest.mark.parametrize(
    ("does", "words"),
    [
        (30.0, "no answer within 0.2 s"),
        (b"", "the connection broke off"),
        (b"HTTP/1.1 2", "no answer within 0.2 s"),
        (b"SSH-2.0-OpenSSH\r\n", "the connection broke off"),
    ],
)
def test_no_answer_leaves_it_in_doubt(does, words):
    with neighbour(does) as server:
        error = failure(server.url, read_timeout=0.2)
        assert len(server.requests) == 1, "it is not sent again by itself"
    assert type(error) is errors.InDoubt
    assert words in str(error)


@network
def test_nobody_there_means_not_sent():
    with neighbour(OK) as server:
        pass
    error = failure(server.url)
    assert type(error) is errors.NotSent
    assert "Connection refused" in str(error)


@network
def test_no_tls_means_not_sent():
    with neighbour(OK, greeting=b"220 no TLS here\r\n") as server:
        error = failure(server.url.replace("http:", "https:"))
    assert type(error) is errors.NotSent
    assert "could not connect to 127.0.0.1" in str(error)


@network
def test_a_tls_handshake_that_hangs_means_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        made = aha.connect(target(url), connect_timeout=0.2, read_timeout=5)
        with pytest.raises(errors.NotSent, match=r"TimeoutError|timed out"):
            made.send({})
        made.close()


@network
def test_no_such_name_means_not_sent(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failure("http://nowhere.example")
    assert type(error) is errors.NotSent
    assert str(error) == "could not connect to nowhere.example:80: Name or service not known"


@network
def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch):
    with neighbour(OK) as server:
        port = int(server.url.rpartition(":")[2])
        real = socket.getaddrinfo

        def two(host, *rest, **more):
            found = real("127.0.0.1" if host == "two.example" else host, *rest, **more)
            refused = [(*place[:4], ("127.0.0.2", port)) for place in found]
            return refused + found if host == "two.example" else found

        monkeypatch.setattr(socket, "getaddrinfo", two)
        with connected(f"http://two.example:{port}") as destination:
            assert destination.send({}).status == 200
    assert server.requests[0][1]["host"] == f"two.example:{port}"


def test_a_url_that_cannot_be_used_is_refused():
    for url in ("https://", "ftp:/x", "acme.aha.io", "https://\u2024.example"):
        assert type(failure(url)) is errors.Refused


@network
def test_a_name_that_cannot_be_one_is_not_found():
    assert type(failure("https://" + "a" * 70 + ".example")) is errors.NotSent


@pytest.mark.parametrize("body", [{"n": 2**70}, {"x": object()}, {"x": "\ud800"}])
def test_a_body_that_is_no_json_is_refused(body):
    with connected("https://x.example") as destination, pytest.raises(errors.Refused, match="JSON"):
        destination.send(body)


# --- private addresses


@network
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fc00::1]",
        "[fe80::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_private_addresses_are_refused(scheme, address):
    error = failure(f"{scheme}://{address}", private=False)
    assert type(error) is errors.Refused
    assert "a private address; if that is meant, its destination says `private: true`" in str(error)


@network
def test_a_private_address_is_not_even_connected_to():
    with neighbour(OK) as server:
        assert type(failure(server.url, private=False)) is errors.Refused
    assert server.connections == 0


@network
def test_a_public_address_is_connected_to(monkeypatch):
    def unreachable(*_, **__):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    error = failure("http://8.8.8.8", private=False)
    assert type(error) is errors.NotSent
    assert str(error) == "could not connect to 8.8.8.8:80: Network is unreachable"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_fine(address):
    assert not is_private(address)


@network
def test_a_name_that_resolves_to_a_private_address_a_moment_later_is_refused(monkeypatch):
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))
    private = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    answers = [[public, private]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers[0])
    error = failure("http://rebinding.example", private=False)
    assert type(error) is errors.Refused
    assert "rebinding.example is at 127.0.0.1" in str(error)


# --- secrets


@network
def test_the_token_reaches_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    odd = b"HTTP/1.1 200 OK\r\nbad header\r\nContent-Length: 0\r\n\r\n"
    with (
        neighbour(OK, odd, answer(500), b"") as server,
        connected(server.url, read_timeout=0.2) as destination,
    ):
        destination.send({})
        destination.send({})
        for kind in (errors.Failed, errors.InDoubt):
            with pytest.raises(kind):
                destination.send({})
        assert TOKEN not in f"{destination!r}{destination!s}"
    assert "connected to 127.0.0.1" in caplog.text
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(target(server.url))


# --- one deadline


def dripping(data, pause=0.02, last=b""):
    """Send bytes one by one, for as long as the other side takes them."""

    def drip(connection, server):
        with suppress(OSError):
            for byte in data:
                connection.sendall(bytes([byte]))
                if server.enough.wait(pause):
                    return
            connection.sendall(last)

    return drip


LONG_HEAD = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 2_000


@network
@pytest.mark.parametrize(
    "answer",
    [
        dripping(LONG_HEAD),
        dripping(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        dripping(b"\r\n" * 1_000),
    ],
    ids=["headers", "interim answers", "empty lines"],
)
def test_an_answer_that_drips_is_waited_for_no_longer_than_silence(answer):
    with neighbour(answer) as server:
        started = time.monotonic()
        error = failure(server.url, read_timeout=0.3)
        assert time.monotonic() - started < 5
        assert len(server.requests) == 1
    assert type(error) is errors.InDoubt


@network
def test_a_neighbour_that_does_not_read_is_waited_for_no_longer_than_silence():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        made = aha.connect(target(url), connect_timeout=1, read_timeout=0.3)
        started = time.monotonic()
        with pytest.raises(errors.InDoubt, match=r"no answer within 0\.3 s"):
            made.send({"long": "x" * 20_000_000})
        assert time.monotonic() - started < 5
        made.close()


@network
def test_a_handshake_that_drips_is_not_waited_for():
    begun = b"\x16\x03\x03\x40\x00\x02" + b"\x00" * 2_000
    with socket.create_server(("127.0.0.1", 0)) as listening:
        enough = threading.Event()

        def shake():
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                for byte in begun:
                    connection.sendall(bytes([byte]))
                    if enough.wait(0.02):
                        return

        thread = threading.Thread(target=shake)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        made = aha.connect(target(url), connect_timeout=0.3, read_timeout=30)
        started = time.monotonic()
        with pytest.raises(errors.NotSent, match="timed out"):
            made.send({})
        assert time.monotonic() - started < 5
        enough.set()
        thread.join()
        made.close()


@network
def test_all_addresses_together_are_waited_for_no_longer_than_one(monkeypatch):
    with socket.create_server(("0.0.0.0", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = []
        for _ in range(5):  # until the queue is full, and further connections are not answered
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        found = [(2, 1, 6, "", (f"127.0.0.{n}", port)) for n in range(1, 6)]
        monkeypatch.setattr(socket, "getaddrinfo", resolver({"five.example": found}))
        made = aha.connect(
            target(f"http://five.example:{port}"), connect_timeout=0.5, read_timeout=30
        )
        started = time.monotonic()
        with pytest.raises(errors.NotSent, match="timed out"):
            made.send({})
        assert time.monotonic() - started < 5
        for each in waiting:
            each.close()


@network
def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch):
    with neighbour(OK) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_server(("127.0.0.2", port), backlog=0):
            waiting = [socket.socket() for _ in range(5)]  # until the queue is full
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.2", port))
            found = [(2, 1, 6, "", (f"127.0.0.{n}", port)) for n in (2, 1)]
            monkeypatch.setattr(socket, "getaddrinfo", resolver({"two.example": found}))
            made = aha.connect(
                target(f"http://two.example:{port}"), connect_timeout=2, read_timeout=30
            )
            assert made.send({}).status == 200
            made.close()
            for each in waiting:
                each.close()


def resolver(names, asked=None):
    """Stand in for the system's resolver where a name is among these; a function is called."""
    real = socket.getaddrinfo

    def look_up(host, *rest, **more):
        if host not in names:
            return real(host, *rest, **more)
        if asked is not None:
            asked.append(host)
        return names[host]() if callable(names[host]) else names[host]

    return look_up


@network
def test_a_name_that_is_not_found_in_time_means_not_sent(monkeypatch):
    with neighbour(OK) as server:
        port = int(server.url.rpartition(":")[2])
        found = threading.Event()
        asked = []

        def slowly():
            found.wait(30)
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolver({"slow.example": slowly}, asked))
        made = aha.connect(
            target(f"http://slow.example:{port}"), connect_timeout=0.1, read_timeout=5
        )
        for _ in range(5):
            with pytest.raises(
                errors.NotSent, match=r"slow\.example:[0-9]+: its name was not found"
            ):
                made.send({})
        assert asked == ["slow.example"], "the resolver is asked once at a time"
        found.set()
        end = time.monotonic() + 30
        while True:
            try:
                assert made.send({}).status == 200
                break
            except errors.NotSent:
                assert time.monotonic() < end
        made.close()
    assert len(server.requests) == 1


# --- unexpected bytes

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def told(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@network
@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        HINTS,
        b"HTTP/1.1 199 Whatever\r\nContent-Length: 3\r\n\r\n",
        HINTS * 50,
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_interim_answers_are_skipped(interim, at_once):
    first = (
        interim + told(b"one")
        if at_once
        else dripping(interim[:40], 0, interim[40:] + told(b"one"))
    )
    with neighbour(first, told(b"two"), told(b"three")) as server, connected(server.url) as aha_:
        assert [aha_.send({}).answer for _ in range(3)] == ["one", "two", "three"]
    assert (len(server.requests), server.connections) == (3, 1)


@network
@pytest.mark.parametrize("endless", [HINTS * 200, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"])
def test_interim_answers_without_an_end_leave_it_in_doubt(endless):
    with neighbour(endless + OK, told(b"two")) as server, connected(server.url) as destination:
        with pytest.raises(errors.InDoubt, match="the connection broke off"):
            destination.send({})
        assert destination.send({}).answer == "two"
    assert server.connections == 2


@network
@pytest.mark.parametrize(
    "first",
    [
        told(b"one") + b"x",
        told(b"one") + told(b"not yours"),
        b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nnot yours",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\none\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\none",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ],
)
def test_a_connection_that_gave_anything_unexpected_is_not_used_again(first):
    with neighbour(first, told(b"two"), told(b"three")) as server, connected(server.url) as aha_:
        assert aha_.send({}).answer in ("one", "")
        assert [aha_.send({}).answer for _ in range(2)] == ["two", "three"]
    assert (len(server.requests), server.connections) == (3, 2)


@network
def test_a_connection_that_spoke_while_it_was_idle_is_not_used_again():
    spoken = threading.Event()

    def speak(connection, server):
        connection.sendall(told(b"one"))
        server.enough.wait(0.05)
        connection.sendall(told(b"not yours"))
        spoken.set()

    with neighbour(speak, told(b"two")) as server, connected(server.url) as destination:
        assert destination.send({}).answer == "one"
        assert spoken.wait(30)
        assert destination.send({}).answer == "two"
    assert server.connections == 2


@network
def test_a_neighbour_that_speaks_first_is_sent_nothing(monkeypatch):
    with neighbour(OK, greeting=told(b"not yours")) as server:
        real = socket.create_connection

        def greeted(*how, **more):
            made = real(*how, **more)
            assert server.greeted.wait(30)
            return made

        monkeypatch.setattr(socket, "create_connection", greeted)
        error = failure(server.url)
        assert server.requests == []
    assert type(error) is errors.NotSent
    assert "spoke before it was asked" in str(error)


@network
def test_an_answer_before_the_whole_body_was_taken_is_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse():
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer(413, b"too large"))

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with connected(url) as destination, pytest.raises(errors.Refused) as caught:
            destination.send({"long": "x" * 20_000_000})
        thread.join()
    assert (caught.value.status, caught.value.answer) == (413, "too large")


# --- encrypted


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for 127.0.0.1; returns the files of it and of its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "certificate.pem", folder / "key.pem"
    told = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    told += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*told, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


@contextmanager
def encrypted(certificate, *answers):
    """Run a neighbour that is spoken to over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = Neighbour(*answers, wrap=lambda plain: context.wrap_socket(plain, server_side=True))
    server.url = server.url.replace("http:", "https:")
    try:
        yield server
    finally:
        server.close()


@network
def test_an_encrypted_connection_is_kept_too(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    long = "x" * 1_000_000
    with (
        encrypted(certificate, HINTS + told(b"one"), told(b"two")) as server,
        connected(server.url) as destination,
    ):
        answers = [destination.send({"long": long}).answer for _ in range(3)]
    assert answers == ["one", "two", "two"]
    assert [orjson.loads(raw)["long"] for _, _, raw in server.requests] == [long] * 3
    assert server.connections == 1


@network
def test_an_encrypted_answer_that_drips_is_waited_for_no_longer_than_silence(
    certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with encrypted(certificate, dripping(LONG_HEAD)) as server:
        started = time.monotonic()
        assert type(failure(server.url, read_timeout=0.3)) is errors.InDoubt
        assert time.monotonic() - started < 5


@network
def test_a_certificate_that_nobody_vouches_for_means_not_sent(certificate):
    with encrypted(certificate, OK) as server:
        error = failure(server.url)
        assert server.requests == []
    assert type(error) is errors.NotSent


def test_the_version_of_what_is_not_installed():
    assert aha._version("no-such-distribution") == "0"


@network
def test_an_answer_that_comes_drop_by_drop_is_not_waited_for_to_its_end():
    def dripping(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            if enough.wait(0.05):
                return
            try:
                connection.sendall(b".")
            except OSError:
                return

    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def accept():
            connection, _ = listening.accept()
            with connection:
                dripping(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        made = aha.connect(target(url), connect_timeout=0.1, read_timeout=0.2)
        started = time.monotonic()
        assert made.send({}).status == 200
        assert time.monotonic() - started < 2
        enough.set()
        thread.join()
        made.close()
