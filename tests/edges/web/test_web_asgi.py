"""The ASGI application by itself, called as an ASGI server calls it."""

import asyncio
import gzip
import threading
from contextlib import suppress
from types import SimpleNamespace

import orjson
import pytest

from bridge.errors import NotKept
from bridge.intake import LARGE_BODY_BYTES
from bridge.model import Reply
from bridge.web.asgi import AsgiApplication

TOKEN = "token-of-the-only-hook"
PATH = f"/api/v1/webhooks/{TOKEN}"
JSON = (b"content-type", b"application/json")


class Door:
    """The application in front of a fake bridge, and of a page that records its requests."""

    def __init__(self, bridge, **settings):
        plain = {
            "max_body": 1_000_000,
            "body_seconds": 1,
            "body_rate": 1 << 20,
            "body_memory": 300_000,
            "threads": 2,
        }
        bridge.settings = SimpleNamespace(**{**plain, **settings})
        self.bridge = bridge
        self.fails = None
        bridge.intake = SimpleNamespace(prepare=self._prepare, refused=self._refused)
        bridge.store.keep_soon = self._keep_soon
        self.asked = []

    def _prepare(self, hook, request):
        if isinstance(self.bridge.reply, Exception):
            raise self.bridge.reply
        return self.bridge.reply or ("kept", request)

    def _refused(self, hook, request, reason):
        return ("refused", request, reason)

    def _keep_soon(self, arrivals):
        for arrival, told in arrivals:
            kind = "accepted" if arrival[0] == "kept" else "refused"
            getattr(self.bridge, kind).append(arrival[1:])
            told(self.fails)

    def _page(self, environ, start_response):
        self.asked.append((environ, environ["wsgi.input"].read()))
        start_response("418 I'm a teapot", [("Content-Type", "text/plain"), ("X-Page", "1")])
        return [b"a ", b"page"]

    def ask(self, *requests):
        """Send requests concurrently; returns (status, headers, body) of each."""

        async def all_of_them():
            reception = AsgiApplication(self.bridge, self._page)
            try:
                return await asyncio.gather(*(one(reception) for one in requests))
            finally:
                reception.close()

        return asyncio.run(all_of_them())


def request(*parts, path=PATH, method="POST", headers=(), then="end", version="1.1"):
    """Return a function that sends a request; `then` it ends, stalls or disconnects ("gone")."""

    async def asking(reception):
        told, sent = [*parts] or [b""], []

        async def receive():
            if told:
                part = told.pop(0)
                return {
                    "type": "http.request",
                    "body": part,
                    "more_body": bool(told or then != "end"),
                }
            if then == "gone":
                return {"type": "http.disconnect"}
            return await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        length = [(b"content-length", str(sum(map(len, parts))).encode())] if then == "end" else []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"user_id=ana",
            "http_version": version,
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 81),
            "headers": [*headers, *(length if not headers else [])],
        }
        await reception(scope, receive, send)
        head, body = sent
        return head["status"], dict(head["headers"]), body["body"]

    return asking


@pytest.fixture
def door(bridge):
    return Door(bridge)


def test_a_body_in_parts_is_kept_whole(door):
    [(status, headers, body)] = door.ask(request(b'{"a"', b": 1}"))
    [(kept,)] = door.bridge.accepted
    assert (status, kept.body, kept.query) == (200, b'{"a": 1}', {"user_id": "ana"})
    assert orjson.loads(body) == {"event": kept.id}
    assert headers[b"x-bridge-event"].decode() == kept.id


def test_headers_that_tell_nothing_are_not_taken_in(door):
    coded = gzip.compress(b"{}")
    told = [JSON, (b"cookie", b"a=1"), (b"x-hub-signature", b"s"), (b"content-encoding", b"gzip")]
    door.ask(request(coded, headers=[*told, (b"content-length", str(len(coded)).encode())]))
    [(kept,)] = door.bridge.accepted
    assert kept.body == coded
    assert kept.headers == {
        "content-type": "application/json", "x-hub-signature": "s", "content-encoding": "gzip",
    }  # fmt: skip


CHUNKED = (b"transfer-encoding", b"chunked")
CUT = {
    "a stall": (
        request(b"1234", headers=[CHUNKED], then="stall"),
        408,
        "only 4 bytes arrived, and",
    ),
    "a stall of a known length": (
        request(b"1234", headers=[(b"content-length", b"9")], then="stall"),
        408,
        "only 4 of 9 bytes arrived in 1 s",
    ),
    "gone": (request(b"1234", headers=[CHUNKED], then="gone"), 200, "only 4 bytes arrived"),
    "too large": (request(b"x" * 1_000_001), 413, "larger than 1000000 bytes"),
    "too large in the end": (
        request(b"x" * 900_000, b"x" * 100_001, headers=[CHUNKED]),
        413,
        "larger than 1000000 bytes",
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_what_never_comes_whole_is_a_row_that_says_so(door, name):
    asked, expected, why = CUT[name]
    [(status, headers, _)] = door.ask(asked)
    [(refused, reason)] = door.bridge.refused
    assert (status, refused.body) == (expected, b"")
    assert why in reason
    assert (headers.get(b"connection") == b"close") is (status == 408)


def test_large_bodies_share_their_memory_and_who_is_silent_makes_room(bridge):
    door = Door(bridge, body_seconds=20)
    silent = request(b"s" * 300_000, headers=[CHUNKED], then="stall")
    large = request(*[b"l" * 100_000] * 5)
    told = door.ask(silent, large, large, request(b"small"))
    assert [status for status, _, _ in told] == [408, 200, 200, 200]
    assert sorted(len(one.body) for (one,) in bridge.accepted) == [5, 500_000, 500_000]


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([CHUNKED, (b"content-length", b"2")], "1.1", 400),
        ([CHUNKED], "1.0", 400),
        ([(b"transfer-encoding", b"gzip, chunked")], "1.1", 501),
    ],
)
@pytest.mark.parametrize("path", [PATH, "/page"])
def test_a_body_without_a_clear_end_is_refused(door, headers, version, status, path):
    [(answered, told, _)] = door.ask(request(b"{}", headers=headers, version=version, path=path))
    assert (answered, told[b"connection"]) == (status, b"close")
    assert not door.bridge.accepted + door.bridge.refused + door.asked


def test_a_token_that_nobody_has(door):
    expecting = [(b"expect", b"100-continue"), (b"content-length", b"2")]
    told = door.ask(
        request(b"{}", path=f"{PATH}x"), request(b"{}", path=f"{PATH}x", headers=expecting)
    )
    assert [(status, b"connection" in headers) for status, headers, _ in told] == [
        (410, False),
        (410, True),
    ]


def test_what_a_source_answers_for_itself(door):
    door.bridge.reply = Reply(status=202, headers={"X-Hook-Secret": "s"}, body=b"shaken")
    [(status, headers, body)] = door.ask(request(b"{}"))
    assert (status, headers[b"x-hook-secret"], body) == (202, b"s", b"shaken")


@pytest.mark.parametrize("error", [NotKept("full"), RuntimeError("not for the log")])
def test_what_cannot_be_kept_is_to_come_again(door, logged, error):
    door.fails = error
    [(status, _, body)] = door.ask(request(b"{}"))
    assert (status, b"again" in body or b"failed" in body) == (503, True)
    assert "not for the log" not in str(logged)


def test_pages_are_answered_by_the_other_application(door):
    told = door.ask(
        request(b"a=1", path="/caf%C3%A9", headers=[(b"host", b"x"), (b"content-length", b"3")]),
        request(path="/readyz", method="GET"),
    )
    assert told[0] == (418, {b"content-type": b"text/plain", b"x-page": b"1"}, b"a page")
    [(environ, body), _] = sorted(door.asked, key=lambda one: one[0]["PATH_INFO"])
    assert (environ["PATH_INFO"], body) == ("/caf\xc3\xa9", b"a=1")
    assert (environ["HTTP_HOST"], environ["QUERY_STRING"]) == ("x", "user_id=ana")


def test_a_page_that_is_sent_too_much(door):
    [(status, _, body)] = door.ask(request(b"x" * 1_000_001, path="/page"))
    assert (status, body) == (413, b"The body: larger than 1000000 bytes.\n")


def test_whether_it_lives_is_answered_at_once(door):
    [(status, _, body)] = door.ask(request(path="/healthz", method="GET"))
    assert (status, orjson.loads(body), door.asked) == (200, {"status": "ok"}, [])


def test_a_request_under_way_when_the_process_ends_is_to_come_again(door):
    async def ended():
        reception = AsgiApplication(door.bridge, door._page)
        asking = asyncio.ensure_future(request(b"1", headers=[CHUNKED], then="stall")(reception))
        await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            return await asking

    assert asyncio.run(ended())[0] == 503


@pytest.mark.parametrize(
    ("size", "headers", "on_the_loop"),
    [
        (LARGE_BODY_BYTES, [], True),
        (LARGE_BODY_BYTES + 1, [], False),
        (10, [(b"content-encoding", b"gzip")], False),
    ],
)
def test_a_large_body_is_judged_in_a_thread_of_its_own(door, size, headers, on_the_loop):
    threads = []

    def prepare(_hook, request):
        threads.append(threading.current_thread())
        return "kept", request

    door.bridge.intake.prepare = prepare
    [(status, _, _)] = door.ask(request(b"x" * size, headers=headers))
    assert status == 200
    assert [thread is threading.main_thread() for thread in threads] == [on_the_loop]


def test_what_arrives_together_is_handed_to_the_writer_together(door):
    counts = []

    def keep_soon(arrivals):
        counts.append(len(arrivals))
        for _, callback in arrivals:
            callback(None)

    door.bridge.store.keep_soon = keep_soon
    told = door.ask(*(request(b"{}") for _ in range(50)))
    assert [status for status, _, _ in told] == [200] * 50
    assert counts == [50]


def test_no_more_bodies_are_judged_than_the_writer_takes_soon(door):
    judged, counts = [], []

    def prepare(_hook, request):
        judged.append(request)
        return "kept", request

    def keep_soon(arrivals):
        counts.append(len(judged))
        judged.clear()
        for _, callback in arrivals:
            callback(None)

    door.bridge.intake.prepare, door.bridge.store.keep_soon = prepare, keep_soon
    told = door.ask(*(request(b"{}") for _ in range(300)))
    assert [status for status, _, _ in told] == [200] * 300
    assert max(counts) == 256


def test_a_store_that_is_closed_is_answered_for(door):
    def keep_soon(_arrivals):
        raise NotKept("the bridge is stopping")

    door.bridge.store.keep_soon = keep_soon
    told = door.ask(request(b"{}"), request(b"{}"))
    assert [status for status, _, _ in told] == [503, 503]
