"""Deliver: claim a lane, decide what waited, map, send, settle; each destination on its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bridge import sources, store
from bridge.core import bodies, retry, stale, unknown
from bridge.core.mapping import outgoing, parts_left_out
from bridge.core.plan import Plan
from bridge.core.printable import ANSWER_CHARS
from bridge.core.retry import Streak
from bridge.errors import (
    DeliveryError,
    Failed,
    Gone,
    InDoubt,
    NotSent,
    Refused,
    Throttled,
    Unmappable,
    stack_frames,
)
from bridge.model import (
    Destination,
    Event,
    Receipt,
    Route,
    Stage,
    State,
    Target,
    Verdict,
    VerdictName,
)
from bridge.sources import StoredBody
from bridge.store import Down, Leased, LeaseRequest, Settlement, Store

log = structlog.get_logger()

#: What a failed delivery is called in the log.
_WORDS: tuple[tuple[type[DeliveryError], str], ...] = (
    (Gone, "gone"),
    (Throttled, "throttled"),
    (NotSent, "not_sent"),
    (Failed, "failed"),
    (InDoubt, "in_doubt"),
    (Unmappable, "unmappable"),
    (Refused, "refused"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """What the workers of one destination share."""

    target: Target
    destination: Destination
    store: Store
    plan: Callable[[], Plan]
    #: The process, by the name its store has.
    owner: str
    #: How long a lane is leased, in ms: longer than the longest send.
    lease_ms: int
    policy: retry.Policy
    #: How long a worker without a delivery waits before it asks again without a wake-up.
    poll_s: float = 1.0
    #: How many lanes that have failed all workers of the process may have at a time.
    most_failing: int = 8
    #: How long the longest send takes, in ms; None: nobody knows.
    longest_send_ms: int | None = None

    @property
    def request(self) -> LeaseRequest:
        """What a worker of this destination asks for."""
        return LeaseRequest(
            destination=self.target.name,
            owner=self.owner,
            lease_ms=self.lease_ms,
            limits=self.target.limits,
            most_failing=self.most_failing,
            longest_send_ms=self.longest_send_ms,
        )


def run(crew: Crew, stopping: threading.Event) -> None:
    """Deliver until told to stop; what is in flight then is finished and settled."""
    settlement: Settlement | None = None
    while True:
        request = None if stopping.is_set() else crew.request
        try:
            turn = crew.store.settle_and_lease(settlement, request)
        except Exception as error:  # noqa: BLE001 - a worker outlives what the database refuses
            # The settlement is kept: what was sent must not be forgotten because of an outage. One
            # that the database refuses is let go: its lease ends, and then it is in doubt.
            if not isinstance(error, Down):
                _mistake(crew, error)
                settlement = None
            stopping.wait(crew.poll_s)
            if stopping.is_set():
                return
            continue
        settlement = None
        if turn.leased is not None:
            settlement = _attend(crew, turn.leased)
        elif request is None:
            return
        else:
            wait = crew.poll_s if turn.wait_ms is None else min(crew.poll_s, turn.wait_ms / 1000)
            crew.store.wakeups.wait(crew.target.name, wait)


def _attend(crew: Crew, leased: Leased) -> Settlement | None:
    """Deliver, and settle also what nobody foresaw: nothing was sent then."""
    try:
        return deliver(crew, leased)
    except Down:
        return _settled(leased, State.QUEUED, "", "")
    except Exception as error:  # noqa: BLE001 - whatever it is, the lane must not be left behind
        reason = f"the bridge itself failed on this: {_mistake(crew, error, leased)}"
        return _settled(leased, State.PARKED, "mistake", reason, cause="mistake")


def _mistake(crew: Crew, error: Exception, leased: Leased | None = None) -> str:
    """Log where we failed and return what it was."""
    kind, event = type(error).__name__, "" if leased is None else leased.event
    where = stack_frames(error)
    name = crew.target.name
    log.error("delivery.mistake", event_id=event, destination=name, error=kind, where=where)
    return kind


def deliver(crew: Crew, leased: Leased) -> Settlement | None:
    """Bring one leased delivery as far as it goes; None when it settled itself.

    It is put back when its send cannot begin in time.
    """
    current: Leased | None = leased
    if leased.waiting:
        current = _decide_now(crew, leased)
    if current is None:
        return None
    if current.in_doubt:
        if not _may_repeat(crew, current):
            return _settled(current, State.IN_DOUBT, "in_doubt", _STOPPED_WHILE_SENDING)
        _log("delivery.repeated", current)
    return _send(crew, current)


_STOPPED_WHILE_SENDING = (
    "the bridge stopped while this was being sent: it may have been written; look in Aha!, then "
    "`aha-bridge retry` or `aha-bridge discard` it"
)


def _may_repeat(crew: Crew, leased: Leased) -> bool:
    """Tell whether what may have been written can be sent again without asking anyone."""
    return not leased.writes or crew.target.on_doubt == "resend"


# A thin event whose grace is over


def _decide_now(crew: Crew, leased: Leased) -> Leased | None:
    """Decide what no fuller telling came for; None when it is not to be sent."""
    verdict = _verdict(crew, leased)
    if verdict.name is not VerdictName.DELIVER:
        crew.store.drop_after_grace(leased, verdict)
        _log("delivery.dropped", leased, verdict=verdict.name.value)
        return None
    if not crew.store.send_after_grace(leased, verdict):
        return None
    return replace(
        leased,
        route=verdict.route,
        identities=verdict.identities,
        waiting=False,
        writes=any(e.writes for e in leased.effects if e.identity in verdict.identities),
    )


def _verdict(crew: Crew, leased: Leased) -> Verdict:
    name = crew.target.name
    event = _read_again(leased)
    if event is None:
        return _filtered("the body is no longer kept", name, Stage.UNKNOWN)
    snapshot = crew.store.find_snapshot(event)
    told = [
        replace(v, identities=tuple(name for name in v.identities if name in leased.identities))
        for v in unknown.resolve(crew.plan(), event, leased.received, snapshot=snapshot)
        if v.destination in (name, "")
    ]
    wanted = next((v for v in told if v.name is VerdictName.DELIVER and v.identities), None)
    others = [v for v in told if v.name is not VerdictName.DELIVER]
    others.sort(key=lambda verdict: not verdict.destination)
    nobody = _filtered("no route sends it here any more", name, Stage.ROUTED)
    return replace(next(iter([wanted] if wanted else others), nobody), destination=name)


def _filtered(reason: str, destination: str, stage: Stage) -> Verdict:
    return Verdict(name=VerdictName.FILTERED, reason=reason, destination=destination, stage=stage)


def _read_again(leased: Leased) -> Event | None:
    """Read a kept body as it was read at the door."""
    if leased.packed is None:
        return None
    return sources.read_again(
        StoredBody(
            event=leased.event,
            source=leased.source,
            hook=leased.hook,
            site=leased.site,
            received=leased.received,
            record=leased.record,
            key=leased.key,
            body=store.unpack(leased.packed),
        )
    )


# Send


def _send(crew: Crew, leased: Leased) -> Settlement:
    route = crew.plan().configuration.routes.get(leased.route)
    if route is None:
        reason = f"the route {leased.route} is no longer in the mappings"
        return _settled(leased, State.PARKED, "no_route", reason, cause="route")
    if leased.packed is None:
        return _settled(leased, State.PARKED, "no_body", "the body is no longer kept")
    try:
        body = _body(crew, leased, route)
    except Unmappable as error:
        _log("delivery.parked", leased, why="unmappable")
        settled = _settled(leased, State.PARKED, "unmappable", str(error), cause="mapping")
        return replace(settled, revision=route.revision)
    if store.steady() > leased.start_by:
        # Somebody else may hold the lane before the send is over: it is leased once more.
        _log("delivery.put_back", leased)
        return _settled(leased, State.QUEUED, "", "")
    return _exchange(crew, leased, body)


def _exchange(crew: Crew, leased: Leased, body: Mapping[str, Any]) -> Settlement:
    try:
        receipt = crew.destination.send(body)
    except DeliveryError as error:
        return _failed(crew, leased, error)
    except Exception as error:  # noqa: BLE001 - it may have been on its way already
        kind = _mistake(crew, error, leased)
        return _failed(crew, leased, InDoubt(f"the bridge itself failed while sending: {kind}"))
    return _delivered(leased, receipt)


def _body(crew: Crew, leased: Leased, route: Route) -> Mapping[str, Any]:
    assert leased.packed is not None  # noqa: S101 - asked by the caller
    body = _read(store.unpack(leased.packed))
    if not leased.late:
        return _mapped(crew, leased, body, route)
    found = leased.newest or crew.store.find_newest(leased)
    kept = {event: _read(store.unpack(packed)) for event, packed in found.packed.items()}
    body = stale.renewed(body, found.sources, kept)
    sent = _mapped(crew, leased, body, route)
    # The record's fields are mapped as they were when they went out last, perhaps by another route.
    other = crew.plan().configuration.routes.get(found.route)
    if other is not None and other.name != route.name:
        sent["issue"] = _mapped(crew, leased, {"issue": body["issue"]}, other)["issue"]
    return sent


def _read(raw: bytes) -> dict[str, Any]:
    try:
        return bodies.read(raw).value  # type: ignore[no-any-return]  # what is kept is an object
    except bodies.TooMuch as error:  # an earlier version took it in
        raise Unmappable(str(error)) from error


def _mapped(crew: Crew, leased: Leased, body: Mapping[str, Any], route: Route) -> dict[str, Any]:
    return outgoing(
        body,
        record=leased.record,
        key=leased.key,
        drop=parts_left_out(((e.identity, e.part) for e in leased.effects), leased.identities),
        route=route,
        target=crew.target,
    )


def _delivered(leased: Leased, receipt: Receipt) -> Settlement:
    _log("delivery.delivered", leased, status=receipt.status, millis=receipt.millis)
    return replace(
        _settled(leased, State.DELIVERED, "delivered", receipt.answer),
        status=receipt.status,
        duration_ms=receipt.millis,
    )


def _failed(crew: Crew, leased: Leased, error: DeliveryError) -> Settlement:
    """Turn an error into what its class says to do."""
    word = next(word for kind, word in _WORDS if isinstance(error, kind))
    _log("delivery.failed", leased, outcome=word, status=error.status)
    answer = f"{error}: {error.answer}" if error.answer else str(error)
    settled = replace(
        _settled(leased, State.RETRYING, word, answer),
        status=error.status,
        failed=isinstance(error, NotSent | Failed | InDoubt),
    )
    if isinstance(error, Gone):
        return replace(settled, pause_reason=str(error) if _token_is_current(crew) else "")
    if isinstance(error, InDoubt) and not _may_repeat(crew, leased):
        return replace(settled, state=State.IN_DOUBT)
    streak = _streak(leased, error)
    delay = retry.retry_delay_ms(crew.policy, streak, error, jitter=random.random())
    if delay is None:
        return _parked(settled, leased, error)
    block = delay if isinstance(error, Throttled) else 0
    return replace(settled, delay_ms=delay, block_ms=block)


def _streak(leased: Leased, error: DeliveryError) -> Streak:
    # Being told to wait is no failure of the lane, and is counted by the attempts.
    before = leased.attempts if isinstance(error, Throttled) else leased.failures
    return Streak(failures=before + 1, lasted_ms=leased.failing_for_ms, alone=leased.alone)


def _parked(settled: Settlement, leased: Leased, error: DeliveryError) -> Settlement:
    """Park what is refused, or failed for too long while other records came through."""
    if isinstance(error, Refused):
        return replace(settled, state=State.PARKED, cause="refused")
    why = retry.parked_reason(leased.attempts + 1, leased.failing_since, settled.answer)
    _log("delivery.parked", leased, why="failing")
    return replace(settled, state=State.PARKED, cause="failing", answer=why[:ANSWER_CHARS])


def _token_is_current(crew: Crew) -> bool:
    """Tell whether the token was not replaced while we were sending with it."""
    target = crew.plan().configuration.targets.get(crew.target.name)
    return target is None or target.token == crew.target.token


def _settled(
    leased: Leased, state: State, outcome: str, answer: str, *, cause: str = ""
) -> Settlement:
    return Settlement(
        lane=leased.lane,
        fence=leased.fence,
        delivery=leased.delivery,
        destination=leased.destination,
        state=state,
        outcome=outcome,
        answer=answer[:ANSWER_CHARS],
        cause=cause,
    )


def _log(what: str, leased: Leased, **more: object) -> None:
    # What goes well is in the decision log; a line each would cost more than the sending.
    tell = log.debug if what == "delivery.delivered" else log.info
    tell(
        what,
        event_id=leased.event,
        delivery=leased.delivery,
        destination=leased.destination,
        key=leased.key,
        **more,
    )
