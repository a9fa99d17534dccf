"""The front door: an ASGI application that no slow sender, and no slow page, can hold up.

Bodies arrive on the event loop, where one that stands still costs a few kilobytes and no thread.
What is whole goes to the writer, which says when it is kept. Pages are answered in threads, as
WSGI has it, and health has threads of its own.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

import structlog
from werkzeug.wrappers import Response

from bridge.app import Bridge
from bridge.errors import NotFound, NotKept, places
from bridge.intake import ENCODING, LARGE
from bridge.model import Hook, Reply, Request
from bridge.store import Arrival
from bridge.web import bodies, hooks
from bridge.web.bodies import Limits, Place, Receive, Room
from bridge.web.hooks import PREFIX, Answer, Unfit
from bridge.web.metrics import ACCEPTED, ANSWERS

log = structlog.get_logger()

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: How many large bodies are checked and packed at a time; read they are one at a time.
_LARGE_AT_A_TIME = 2
#: How many answers of /readyz may be under way.
_HEALTH_AT_A_TIME = 2
#: Who sends both means two different bodies, to two different readers (request smuggling). The
#: server's parser refuses it already.
_TWO_LENGTHS = "A body has a Content-Length, or is chunked in HTTP/1.1, and never both."
_ALIVE = Answer(
    200, [("Content-Type", "application/json"), ("Content-Length", "15")], b'{"status":"ok"}'
)


class Reception:
    """Answers every request: webhooks itself, pages through a WSGI application."""

    def __init__(self, bridge: Bridge, pages: WSGIApplication) -> None:
        settings = bridge.settings
        self._bridge = bridge
        self._pages = pages
        self._limits = Limits(
            size=settings.max_body, seconds=settings.body_seconds, rate=settings.body_rate
        )
        self._room = Room(settings.body_memory)
        self._news = _News()
        self._large = ThreadPoolExecutor(_LARGE_AT_A_TIME, "large")
        self._health = ThreadPoolExecutor(_HEALTH_AT_A_TIME, "health")
        self._others = ThreadPoolExecutor(settings.threads, "page")
        self._told = {status: ANSWERS.labels(status=str(status)) for status in (200, 410, 413, 503)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        place = Place(self._room)
        try:
            answer = await self._answer(scope, receive, place)
        except asyncio.CancelledError:  # the process ends, and this body never did
            answer = hooks.plain(503, "Stopping; please send it again.")
        except Exception as error:  # noqa: BLE001 - nobody foresaw it; let the sender try again
            kind = type(error).__name__
            log.error("door.failed", error=kind, where=places(error))  # noqa: TRY400 - no values
            answer = hooks.plain(503, "Something failed here.")
        finally:
            place.leave()
        await _send(send, answer)

    def close(self) -> None:
        """Let go of the threads."""
        for pool in (self._large, self._health, self._others):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, scope: Scope, receive: Receive, place: Place) -> Answer:
        path: str = scope["path"]
        if scope["method"] == "POST" and path.startswith(PREFIX):
            begun = time.perf_counter()
            answer = await self._webhook(path.removeprefix(PREFIX), scope, receive, place)
            ACCEPTED.observe(time.perf_counter() - begun)
            counter = self._told.get(answer.status) or ANSWERS.labels(status=str(answer.status))
            counter.inc()
            return answer
        if path == "/healthz" and scope["method"] in ("GET", "HEAD"):
            return _ALIVE
        return await self._page(scope, receive, place)

    # Webhooks

    async def _webhook(self, token: str, scope: Scope, receive: Receive, place: Place) -> Answer:
        headers = _headers(scope)
        try:
            hook = self._bridge.hook(token)
        except NotFound as gone:
            return _unread(hooks.plain(410, str(gone)), headers)
        if refusal := _misframed(scope, headers):
            return refusal
        try:
            body, unfit = await bodies.read(receive, _length(headers), self._limits, place), None
        except Unfit as error:
            body, unfit = b"", error
        telling = {n: value for n, value in headers.items() if n.startswith(hooks.TELLING)}
        request = hooks.arrived(hook, telling, scope["query_string"].decode("latin-1"), body)
        try:
            answer = await self._keep(hook, request, unfit)
        except NotKept as error:
            answer = hooks.not_kept(hook, error)
        return answer if unfit is None else _unread(answer, headers)

    async def _keep(self, hook: Hook, request: Request, unfit: Unfit | None) -> Answer:
        if unfit is not None:
            await self._until_kept(self._bridge.intake.refused(hook, request, str(unfit)))
            return hooks.kept(request.id, unfit.status)
        prepared = await self._prepare(hook, request)
        if isinstance(prepared, Reply):
            return hooks.own(prepared)
        await self._until_kept(prepared)
        return hooks.kept(request.id, 200)

    async def _prepare(self, hook: Hook, request: Request) -> Reply | Arrival:
        """Check and pack a body: here, where that is quicker than to hand it to a thread."""
        if len(request.body) <= LARGE and ENCODING not in request.headers:
            return self._bridge.intake.prepare(hook, request)
        work = partial(self._bridge.intake.prepare, hook, request)
        return await asyncio.get_running_loop().run_in_executor(self._large, work)

    async def _until_kept(self, arrival: Arrival) -> None:
        """Return once it is kept; raises `NotKept`."""
        future = asyncio.get_running_loop().create_future()
        self._bridge.store.keep_soon(arrival, partial(self._news.tell, future))
        await future

    # Pages

    async def _page(self, scope: Scope, receive: Receive, place: Place) -> Answer:
        headers = _headers(scope)
        if refusal := _misframed(scope, headers):
            return refusal
        try:
            body = await bodies.read(receive, _length(headers), self._limits, place)
        except Unfit as unfit:
            return _unread(hooks.plain(unfit.status, f"The body: {unfit}."), headers)
        pool = self._health if scope["path"] == "/readyz" else self._others
        run = partial(_run, self._pages, _environ(scope, headers, body))
        return await asyncio.get_running_loop().run_in_executor(pool, run)


class _News:
    """Carries what the writer's thread tells to the event loop, which is woken once for many."""

    def __init__(self) -> None:
        self._told: deque[tuple[asyncio.Future[None], BaseException | None]] = deque()
        self._woken = False

    def tell(self, future: asyncio.Future[None], error: BaseException | None) -> None:
        """Say what became of something; called in the writer's thread."""
        self._told.append((future, error))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                future.get_loop().call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._woken = False  # first: what is told from here on wakes the loop again
        while self._told:
            future, error = self._told.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


# What a request says


def _headers(scope: Scope) -> dict[str, str]:
    """Read the headers, their names in lower case; of several with one name, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _misframed(scope: Scope, headers: Mapping[str, str]) -> Answer | None:
    """Refuse a request that does not say clearly where its body ends."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        return None
    if "content-length" in headers or scope["http_version"] != "1.1":
        return _last(hooks.plain(400, _TWO_LENGTHS))
    if coding.strip().lower() != "chunked":
        return _last(hooks.plain(501, "Of transfer codings, only chunked is understood."))
    return None


def _length(headers: Mapping[str, str]) -> int | None:
    """Return the length that a body is said to have; None when it is chunked."""
    said = headers.get("content-length", "")
    if said.isascii() and said.isdecimal():
        return int(said)
    return None if "transfer-encoding" in headers else 0


# What it is answered


def _last(answer: Answer) -> Answer:
    """Make an answer the last one of its connection."""
    return answer._replace(headers=[*answer.headers, ("Connection", "close")])


def _unread(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """Answer a request whose body was not read to its end.

    What still comes of it is read and thrown away, so that the answer is not lost in a reset. But
    who is too slow, or waits to be asked for the body, is not waited for.
    """
    return _last(answer) if answer.status == 408 or "expect" in headers else answer


async def _send(send: Send, answer: Answer) -> None:
    headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


# Pages, as WSGI has them


def _environ(scope: Scope, headers: Mapping[str, str], body: bytes) -> WSGIEnvironment:
    host, port = scope.get("server") or ("", 0)
    # As WSGI wants it: the path's bytes, undone of %, each as a character.
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return {
        **named,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("", 0))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _run(application: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Let a WSGI application answer."""
    response = Response.from_app(application, environ, buffered=True)
    body: Iterable[bytes] = response.response  # type: ignore[assignment]  # buffered: bytes
    return Answer(response.status_code, list(response.headers), b"".join(body))
