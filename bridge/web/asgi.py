"""The ASGI application of `aha-bridge serve`: slow senders and slow pages block nothing else.

Bodies arrive on the event loop, where an unfinished one costs a few kilobytes and no thread. A
complete one goes to the store's writer, which reports when it is stored. Other pages are answered
by a WSGI application in a thread pool; /readyz has threads of its own.
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

from werkzeug.wrappers import Response

from bridge.app import Bridge
from bridge.errors import NotFound, NotKept
from bridge.intake import ENCODING, LARGE_BODY_BYTES
from bridge.model import Hook, Reply, Request
from bridge.store import Arrival
from bridge.web import answers, bodies
from bridge.web.answers import Answer
from bridge.web.bodies import BadBody, BodyMemory, Limits, Receive, Reservation
from bridge.web.hooks import PREFIX, STORED_HEADERS, new_request
from bridge.web.metrics import AnswerMetrics

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: How many large bodies are unpacked and compressed at a time; they are parsed one at a time.
_LARGE_BODY_THREADS = 2
#: How many requests may be judged and wait for the writer: parsed, a body can take ten times its
#: size. Further bodies wait as they arrived.
_MOST_JUDGED = 256
#: How many requests to /readyz are answered at a time.
_HEALTH_THREADS = 2
#: Two parsers may disagree on the length of such a body (request smuggling). The server's parser
#: refuses it too; this check does not depend on it.
_TWO_LENGTHS = "A body has a Content-Length, or is chunked in HTTP/1.1, and never both."
_ALIVE = Answer(
    200, [("Content-Type", "application/json"), ("Content-Length", "15")], b'{"status":"ok"}'
)


#: How many arrivals the writer is given at the latest, while more arrive in every turn of the loop.
MAX_GATHERED = 32


class AsgiApplication:
    """Answers webhooks itself, and every other request through a WSGI application."""

    def __init__(self, bridge: Bridge, pages: WSGIApplication) -> None:
        settings = bridge.settings
        self._bridge = bridge
        self._pages = pages
        self._limits = Limits(
            size=settings.max_body, seconds=settings.body_seconds, rate=settings.body_rate
        )
        self._memory = BodyMemory(settings.body_memory)
        self._results = _Results()
        #: What the writer is given at the end of this turn of the event loop.
        self._prepared: list[tuple[Arrival, asyncio.Future[None]]] = []
        self._judging = asyncio.Semaphore(_MOST_JUDGED)
        self._large_pool = ThreadPoolExecutor(_LARGE_BODY_THREADS, "large")
        self._health_pool = ThreadPoolExecutor(_HEALTH_THREADS, "health")
        self._page_pool = ThreadPoolExecutor(settings.threads, "page")
        self._metrics = AnswerMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reservation = Reservation(self._memory)
        started = time.perf_counter()
        is_webhook = scope["method"] == "POST" and scope["path"].startswith(PREFIX)
        try:
            answer = await (self._webhook if is_webhook else self._page)(
                scope, receive, reservation
            )
        except asyncio.CancelledError:  # the process is stopping, and the body is incomplete
            answer = answers.text(503, "Stopping; please send it again.")
        except Exception as error:  # noqa: BLE001 - the sender retries after an unexpected error
            answer = answers.internal_error(error)
        finally:
            reservation.release()
        if is_webhook:
            self._metrics.record(answer.status, started)
        await _send(send, answer)

    def close(self) -> None:
        """Shut the thread pools down, without waiting for requests under way."""
        for pool in (self._large_pool, self._health_pool, self._page_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    # Webhooks

    async def _webhook(self, scope: Scope, receive: Receive, reservation: Reservation) -> Answer:
        headers = _headers(scope)
        try:
            hook = self._bridge.hook(scope["path"].removeprefix(PREFIX))
        except NotFound as error:
            return _before_end(answers.text(410, str(error)), headers)
        if refusal := _check_framing(scope, headers):
            return refusal
        try:
            body = await bodies.read(receive, _length(headers), self._limits, reservation)
            refused = None
        except BadBody as error:
            body, refused = b"", error
        stored = {n: value for n, value in headers.items() if n.startswith(STORED_HEADERS)}
        request = new_request(hook, stored, scope["query_string"].decode("latin-1"), body)
        try:
            answer = await self._store(hook, request, refused)
        except NotKept as error:
            answer = answers.not_stored(hook, error)
        return answer if refused is None else _before_end(answer, headers)

    async def _store(self, hook: Hook, request: Request, refused: BadBody | None) -> Answer:
        if refused is not None:
            await self._until_stored(self._bridge.intake.refused(hook, request, str(refused)))
            return answers.accepted(request.id, refused.status)
        async with self._judging:
            prepared = await self._prepare(hook, request)
            if isinstance(prepared, Reply):
                return answers.from_source(prepared)
            await self._until_stored(prepared)
        return answers.accepted(request.id)

    async def _prepare(self, hook: Hook, request: Request) -> Reply | Arrival:
        """Check and judge a body; a small one on the event loop, because a thread costs more."""
        if len(request.body) <= LARGE_BODY_BYTES and ENCODING not in request.headers:
            return self._bridge.intake.prepare(hook, request)
        work = partial(self._bridge.intake.prepare, hook, request)
        return await asyncio.get_running_loop().run_in_executor(self._large_pool, work)

    async def _until_stored(self, arrival: Arrival) -> None:
        """Return once the arrival is stored; raises `NotKept`."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._prepared:
            loop.call_soon(self._gather, 0)
        self._prepared.append((arrival, future))
        await future

    def _gather(self, before: int) -> None:
        """Hand over once a turn of the event loop brings no more arrivals, or there are many.

        A transaction for each turn would run while the loop judges the next arrivals: both threads
        would wait for the interpreter's lock at every statement.
        """
        count = len(self._prepared)
        if before < count < MAX_GATHERED:
            asyncio.get_running_loop().call_soon(self._gather, count)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the writer every arrival that was gathered, for one transaction."""
        prepared, self._prepared = self._prepared, []
        try:
            self._bridge.store.keep_soon(
                [(arrival, partial(self._results.put, future)) for arrival, future in prepared]
            )
        except NotKept as error:
            for _, future in prepared:
                future.set_exception(error)

    # Pages

    async def _page(self, scope: Scope, receive: Receive, reservation: Reservation) -> Answer:
        if scope["path"] == "/healthz" and scope["method"] in ("GET", "HEAD"):
            return _ALIVE
        headers = _headers(scope)
        if refusal := _check_framing(scope, headers):
            return refusal
        try:
            body = await bodies.read(receive, _length(headers), self._limits, reservation)
        except BadBody as error:
            return _before_end(answers.text(error.status, f"The body: {error}."), headers)
        pool = self._health_pool if scope["path"] == "/readyz" else self._page_pool
        run = partial(_run, self._pages, _environ(scope, headers, body))
        return await asyncio.get_running_loop().run_in_executor(pool, run)


class _Results:
    """Passes results from the writer's thread to the event loop, with one wake-up for many."""

    def __init__(self) -> None:
        self._pending: deque[tuple[asyncio.Future[None], BaseException | None]] = deque()
        self._is_scheduled = False

    def put(self, future: asyncio.Future[None], error: BaseException | None) -> None:
        """Resolve a future on its loop; called in the writer's thread."""
        self._pending.append((future, error))
        if not self._is_scheduled:
            self._is_scheduled = True
            with suppress(RuntimeError):  # the loop has ended, and no request waits any more
                future.get_loop().call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._is_scheduled = False  # first, so that a later `put` schedules another run
        while self._pending:
            future, error = self._pending.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


# Reading a request


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers with names in lower case; of repeated ones, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _check_framing(scope: Scope, headers: Mapping[str, str]) -> Answer | None:
    """Return a refusal if the end of the body is ambiguous, else None."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        return None
    if "content-length" in headers or scope["http_version"] != "1.1":
        return _closing(answers.text(400, _TWO_LENGTHS))
    if coding.strip().lower() != "chunked":
        return _closing(answers.text(501, "Of transfer codings, only chunked is understood."))
    return None


def _length(headers: Mapping[str, str]) -> int | None:
    """Return the declared length of the body in bytes; None when it is chunked."""
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal():
        return int(declared)
    return None if "transfer-encoding" in headers else 0


# Answers


def _closing(answer: Answer) -> Answer:
    """Close the connection after the answer."""
    return answer._replace(headers=[*answer.headers, ("Connection", "close")])


def _before_end(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """Answer a request before its body has been read to the end.

    The server reads and discards the rest, so that a reset does not destroy the answer. The
    connection is closed instead if the sender was too slow, or expects a `100 Continue`.
    """
    return _closing(answer) if answer.status == 408 or "expect" in headers else answer


async def _send(send: Send, answer: Answer) -> None:
    headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


# Calling a WSGI application


def _environ(scope: Scope, headers: Mapping[str, str], body: bytes) -> WSGIEnvironment:
    host, port = scope.get("server") or ("", 0)
    # PEP 3333: the percent-decoded bytes of the path, each as one character.
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
    variables = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return {
        **variables,
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
    """Return a WSGI application's answer."""
    response = Response.from_app(application, environ, buffered=True)
    body: Iterable[bytes] = response.response  # type: ignore[assignment]  # buffered: bytes
    return Answer(response.status_code, list(response.headers), b"".join(body))
