"""Take a request in: check it, read its events, judge them, and hand them to the store.

Requests are judged here, above the store, twice at most: when they arrive, and once more by the
hooks of then when they come out of the spool after an outage.
"""

from __future__ import annotations

import secrets
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace

import structlog

from bridge import sources, store
from bridge.core import bodies, ids
from bridge.core.plan import Plan
from bridge.errors import BadSignature, Rejected, Unreadable, stack_frames
from bridge.model import Hook, Reply, Request
from bridge.store import Arrival, Entry, Store, rejected_entry

log = structlog.get_logger()

#: Bodies of more bytes are read one at a time, and by the web server outside its event loop: in
#: memory a parsed body can be ten times its size.
LARGE_BODY_BYTES = 64 * 1024
#: The header of a request with the coding of its body, such as gzip.
ENCODING = "content-encoding"
_NO_EVENT = "the body holds no event"


def new_id(seconds: float) -> str:
    """Return a new event id for an instant in seconds since the epoch; ids sort by time."""
    return ids.event_id(int(seconds * 1000), secrets.randbits(ids.RANDOM_BITS))


class Intake:
    """The accepting half of the bridge. Threads may share it."""

    def __init__(self, *, store: Store, plan: Callable[[], Plan], max_body: int) -> None:
        """`plan` returns the plan in use; `max_body` limits an unpacked body, in bytes."""
        self._store = store
        self._plan = plan
        self._max_body = max_body
        #: Held while a large body is read.
        self._large = threading.Lock()
        self._pump = SpoolPump(store, self.judge)

    def start(self) -> None:
        """Begin to judge the requests that come out of the spool; the store was started."""
        self._pump.start()

    def stop(self) -> None:
        """Wait for that to end; the store was closed."""
        self._pump.stop()

    def accept(self, hook: Hook, request: Request) -> Reply | None:
        """Keep a request for good, with any body.

        Returns once it is kept, with the source's own answer if it has one; raises
        `errors.NotKept` when neither the database nor the spool could take it.
        """
        prepared = self.prepare(hook, request)
        if isinstance(prepared, Reply):
            return prepared
        self._store.keep(prepared)
        return None

    def prepare(self, hook: Hook, request: Request) -> Reply | Arrival:
        """Check, unpack, read and judge a request, or return the source's own answer."""
        reply = _handshake(hook, request)
        if reply is not None:
            return reply
        if reason := _forged(hook, request):
            log.warning("event.bad_signature", event_id=request.id, hook=hook.name)
            return _refused(hook, request, reason)
        try:
            request = self._unpacked(request)
        except Unreadable as error:
            return self.refused(hook, request, str(error))
        return Arrival(request=request, entries=self._judge(hook, request))

    def refuse(self, hook: Hook, request: Request, reason: str) -> None:
        """Keep a row with the reason why a request was not read; raises `errors.NotKept`."""
        self._store.keep(self.refused(hook, request, reason))

    def refused(self, hook: Hook, request: Request, reason: str) -> Arrival:
        """Return the arrival of a request that was not read, with the reason why."""
        log.warning("event.refused", event_id=request.id, hook=hook.name, reason=reason)
        return _refused(hook, request, reason)

    def judge(self, request: Request) -> tuple[Entry, ...]:
        """Read and judge a request that waited in the spool, by the hooks of now."""
        hook = self._plan().configuration.hooks.get(request.hook)
        if hook is None:
            reason = f"the hook {request.hook} is no longer configured"
            return (rejected_entry(request, reason, packed=store.pack(request.body)),)
        return self._judge(hook, replace(request, site=hook.site))

    def _judge(self, hook: Hook, request: Request) -> tuple[Entry, ...]:
        if request.refused:
            return (rejected_entry(request, request.refused, source=hook.source),)
        packed = store.pack(request.body)
        entries: tuple[Entry, ...] = ()
        try:
            if len(request.body) <= LARGE_BODY_BYTES:
                entries = self._read(hook, request, packed)
            else:
                with self._large:
                    entries = self._read(hook, request, packed)
            reason = "" if entries else _NO_EVENT
        except Rejected as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - no body is lost because of the bridge's bugs
            reason = _mistake(request, error)
        if reason:
            return (rejected_entry(request, reason, source=hook.source, packed=packed),)
        return entries

    def _read(self, hook: Hook, request: Request, packed: bytes) -> tuple[Entry, ...]:
        plan = self._plan()
        return tuple(
            Entry(event=e, verdicts=plan.judge(e, e.received), packed=packed, plan=plan)
            for e in sources.get(hook.source).read(request)
        )

    def _unpacked(self, request: Request) -> Request:
        """Undo the `Content-Encoding` of a body, after its signature was checked.

        Raises `Unreadable`.
        """
        coding = request.headers.get(ENCODING, "").strip().lower()
        if coding in ("", "identity"):
            return request
        if coding not in ("gzip", "x-gzip"):
            raise Unreadable(f"the Content-Encoding {coding[:40]!r} is not understood: send gzip")
        try:
            body = bodies.gunzip(request.body, self._max_body)
        except bodies.TooMuch as error:
            raise Unreadable(str(error)) from None
        except zlib.error:
            raise Unreadable("the body is not gzip, although Content-Encoding names it") from None
        headers = {name: value for name, value in request.headers.items() if name != ENCODING}
        return replace(request, headers=headers, body=body)


class SpoolPump:
    """A thread that judges the requests of the spool, for the store to keep.

    The store has no function of this layer to call: it hands out requests and takes back entries.
    """

    def __init__(self, store: Store, judge: Callable[[Request], tuple[Entry, ...]]) -> None:
        self._store = store
        self._judge = judge
        self._thread = threading.Thread(target=self._run, name="spool pump", daemon=True)

    def start(self) -> None:
        """Start the thread; the store was started."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the thread, which ends when the store is closed."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (requests := self._store.next_spooled()) is not None:
            self._store.keep_spooled([self._judged(request) for request in requests])

    def _judged(self, request: Request) -> Arrival:
        try:
            return Arrival(request=request, entries=self._judge(request))
        except Exception as error:  # noqa: BLE001 - the other requests must leave the spool
            reason, packed = _mistake(request, error), store.pack(request.body)
            entry = rejected_entry(request, reason, packed=packed)
            return Arrival(request=request, entries=(entry,))


def _refused(hook: Hook, request: Request, reason: str) -> Arrival:
    """Return the arrival of a request of which nothing but the reason is kept."""
    bare = replace(request, headers={}, body=b"", refused=reason)
    return Arrival(request=bare, entries=(rejected_entry(bare, reason, source=hook.source),))


def _forged(hook: Hook, request: Request) -> str:
    """Return the reason why a request's signature is refused; "": it is correct.

    It is checked at arrival only, so that the body of a forged request is never stored.
    """
    try:
        sources.get(hook.source).verify(hook.secrets, request)
    except BadSignature as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a request that cannot be checked is not trusted
        return _mistake(request, error)
    return ""


def _handshake(hook: Hook, request: Request) -> Reply | None:
    try:
        return sources.get(hook.source).handshake(request)
    except Exception as error:  # noqa: BLE001 - then the request is kept as an event
        _mistake(request, error)
        return None


def _mistake(request: Request, error: Exception) -> str:
    """Log where the bridge failed on a request, and return the reason for its verdict."""
    kind = type(error).__name__
    where = stack_frames(error)
    log.error("event.failed", event_id=request.id, hook=request.hook, error=kind, where=where)
    return f"the bridge itself failed on this body: {kind}"
