"""Take in what arrives: read it, decide on it, and keep it, before the sender is answered."""

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
from bridge.model import Event, Hook, Reply, Request, Stage, Verdict, VerdictName
from bridge.store import Arrival, Entry, Store

log = structlog.get_logger()


#: A body of more bytes is read before the writer has it, and not in the writer's thread.
LARGE = 64 * 1024
#: The header of a request that says how its body is packed.
ENCODING = "content-encoding"
#: Where a request says, also out of the spool, why it was refused unread. No sender can say it:
#: such a header is not taken in at the door.
_REFUSED = "bridge-refused"


def new_id(seconds: float) -> str:
    """Make an event's id of an instant, in seconds since the epoch: it sorts by time."""
    return ids.event_id(int(seconds * 1000), secrets.randbits(ids.RANDOM_BITS))


class Intake:
    """The accepting half of the bridge. Threads may share it."""

    def __init__(self, *, store: Store, plan: Callable[[], Plan], max_body: int) -> None:
        self._store = store
        self._plan = plan
        self._max_body = max_body
        #: Held while a large body is read: what it becomes in memory can be ten times its size.
        self._reading = threading.Lock()

    def accept(self, hook: Hook, request: Request) -> Reply | None:
        """Keep a request for good, whatever is in it.

        Returns once it is kept, with a source's own answer if it wants one; raises
        `errors.NotKept` when neither the database nor the spool could take it.
        """
        prepared = self.prepare(hook, request)
        if isinstance(prepared, Reply):
            return prepared
        self._store.keep(prepared)
        return None

    def prepare(self, hook: Hook, request: Request) -> Reply | Arrival:
        """Make of a request what the store is to keep, or the source's own answer."""
        reply = _handshake(hook, request)
        if reply is not None:
            return reply
        if reason := _forged(hook, request):
            log.warning("event.bad_signature", event_id=request.id, hook=hook.name)
            return _without_body(request, reason)
        try:
            request = self._unpacked(request)
        except Unreadable as error:
            return self.refused(hook, request, str(error))
        # Packed here, beside the writer; judged there, where what waits together costs less. But a
        # large body must not keep the others waiting.
        packed = store.pack(request.body)
        if len(request.body) <= LARGE:
            return Arrival(request=request, packed=packed)
        with self._reading:
            entries = self._judge(hook, request, packed)
        return Arrival(request=request, packed=packed, entries=entries)

    def refuse(self, hook: Hook, request: Request, reason: str) -> None:
        """Keep a row that says why a request was not even read; raises `errors.NotKept`."""
        self._store.keep(self.refused(hook, request, reason))

    def refused(self, hook: Hook, request: Request, reason: str) -> Arrival:
        """Make the row that says why a request was not even read."""
        log.warning("event.refused", event_id=request.id, hook=hook.name, reason=reason)
        return _without_body(request, reason)

    def _unpacked(self, request: Request) -> Request:
        """Undo a body's `Content-Encoding`; raises `Unreadable`. Signatures are checked before."""
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
            raise Unreadable("the body is not the gzip that Content-Encoding says") from None
        headers = {name: value for name, value in request.headers.items() if name != ENCODING}
        return replace(request, headers=headers, body=body)

    def judge(self, request: Request, packed: bytes | None = None) -> tuple[Entry, ...]:
        """Read and judge a request, which may have waited in the spool, by the hooks of now.

        `packed` is its body as it will be kept, if that was made already.
        """
        packed = store.pack(request.body) if packed is None else packed
        hook = self._plan().configuration.hooks.get(request.hook)
        if hook is None:
            reason = f"the hook {request.hook} is no longer configured"
            return (_rejected(request, "", reason, packed),)
        return self._judge(hook, replace(request, site=hook.site), packed)

    def _judge(self, hook: Hook, request: Request, packed: bytes) -> tuple[Entry, ...]:
        if reason := request.headers.get(_REFUSED):
            return (_rejected(request, hook.source, reason, None),)
        source = sources.get(hook.source)
        try:
            found = tuple(self._entry(event, packed) for event in source.read(request))
            return found or (_rejected(request, hook.source, _NO_EVENT, packed),)
        except Rejected as error:
            return (_rejected(request, hook.source, str(error), packed),)
        except Exception as error:  # noqa: BLE001 - no body is lost over a mistake of ours
            return (_rejected(request, hook.source, _mistake(request, error), packed),)

    def _entry(self, event: Event, packed: bytes) -> Entry:
        plan = self._plan()
        verdicts = plan.judge(event, event.received)
        return Entry(event=event, verdicts=verdicts, packed=packed, plan=plan)


def _without_body(request: Request, reason: str) -> Arrival:
    bare = replace(request, headers={_REFUSED: reason}, body=b"")
    return Arrival(request=bare, packed=store.pack(b""))


_NO_EVENT = "the body tells of no event"


def _forged(hook: Hook, request: Request) -> str:
    """Say what is wrong with a request's signature; "": nothing.

    At the door and nowhere else, so that what is not signed as it should be waits nowhere.
    """
    try:
        sources.get(hook.source).verify(hook.secrets, request)
    except BadSignature as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - what cannot be checked is not trusted
        return _mistake(request, error)
    return ""


def _handshake(hook: Hook, request: Request) -> Reply | None:
    try:
        return sources.get(hook.source).handshake(request)
    except Exception as error:  # noqa: BLE001 - then it is an event that we failed on, and kept
        _mistake(request, error)
        return None


def _mistake(request: Request, error: Exception) -> str:
    kind = type(error).__name__
    where = stack_frames(error)
    log.error("event.failed", event_id=request.id, hook=request.hook, error=kind, where=where)
    return f"the bridge itself failed on this body: {kind}"


def _rejected(request: Request, source: str, reason: str, packed: bytes | None) -> Entry:
    event = Event(
        id=request.id,
        hook=request.hook,
        source=source,
        site=request.site,
        received=request.received,
        name="",
    )
    verdict = Verdict(name=VerdictName.REJECTED, reason=reason, stage=Stage.READ)
    return Entry(event=event, verdicts=(verdict,), packed=packed)
