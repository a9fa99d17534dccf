"""Deliver one event: decide it if its grace is over, map it, send it, and judge the answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bridge import sources
from bridge.core import bodies, retry, stale, unknown
from bridge.core.grace import filtered, verdict_after_grace
from bridge.core.mapping import outgoing, parts_left_out
from bridge.core.plan import Plan
from bridge.core.printable import ANSWER_CHARS
from bridge.core.retry import Policy, Streak
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
from bridge.model import Destination, Event, Receipt, Route, Stage, State, Target, VerdictName
from bridge.sources import StoredBody
from bridge.store import Leased, LeaseRequest, Settlement, Store, steady, unpack

log = structlog.get_logger()

#: What a failed delivery is called in the decision log. The first class that fits counts.
_OUTCOMES: tuple[tuple[type[DeliveryError], str], ...] = (
    (Gone, "gone"),
    (Throttled, "throttled"),
    (NotSent, "not_sent"),
    (Failed, "failed"),
    (InDoubt, "in_doubt"),
    (Unmappable, "unmappable"),
    (Refused, "refused"),
)
_STOPPED_WHILE_SENDING = (
    "the bridge stopped while this was being sent: it may have been written; look in Aha!, then "
    "`aha-bridge retry` or `aha-bridge discard` it"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliverer:
    """Delivers to one destination. All its workers share one."""

    target: Target
    destination: Destination
    store: Store
    #: Returns the plan in use, which changes when the mapping files do.
    plan: Callable[[], Plan]
    policy: Policy
    #: What its workers request of the store.
    request: LeaseRequest
    #: How long a worker without a delivery waits before it asks again without a wake-up.
    poll_s: float = 1.0
    #: Returns a number in [0, 1) that spreads the retries of deliveries that failed together.
    jitter: Callable[[], float] = random.random

    def deliver(self, leased: Leased) -> Settlement | None:
        """Bring a leased delivery as far as it goes; None when it left its lane already.

        A delivery whose send cannot begin in time is put back. Raises `Down`.
        """
        current = self._decide(leased) if leased.waiting else leased
        if current is None:
            return None
        if current.in_doubt:
            if not self._may_repeat(current):
                return settlement_of(current, State.IN_DOUBT, "in_doubt", _STOPPED_WHILE_SENDING)
            _log("delivery.repeated", current)
        return self._map_and_send(current)

    def _may_repeat(self, leased: Leased) -> bool:
        """Whether a delivery that may have been written can be sent again without an operator."""
        return not leased.writes or self.target.on_doubt == "resend"

    # A thin event whose grace is over

    def _decide(self, leased: Leased) -> Leased | None:
        """Decide a thin event that no fuller one followed; None when it is not to be sent."""
        name, event = self.target.name, _event_of(leased)
        if event is None:
            verdict = filtered("the body is no longer kept", name, Stage.UNKNOWN)
        else:
            snapshot = self.store.find_snapshot(event)
            found = unknown.resolve(self.plan(), event, leased.received, snapshot=snapshot)
            verdict = verdict_after_grace(found, name, leased.identities)
        if verdict.name is not VerdictName.DELIVER:
            self.store.drop_after_grace(leased, verdict)
            _log("delivery.dropped", leased, verdict=verdict.name.value)
            return None
        if not self.store.send_after_grace(leased, verdict):
            return None
        return replace(
            leased,
            route=verdict.route,
            identities=verdict.identities,
            waiting=False,
            writes=any(e.writes for e in leased.effects if e.identity in verdict.identities),
        )

    # Map and send

    def _map_and_send(self, leased: Leased) -> Settlement:
        route = self.plan().configuration.routes.get(leased.route)
        if route is None:
            reason = f"the route {leased.route} is no longer in the mappings"
            return settlement_of(leased, State.PARKED, "no_route", reason, cause="route")
        if leased.packed is None:
            return settlement_of(leased, State.PARKED, "no_body", "the body is no longer kept")
        try:
            body = self._outgoing(leased, unpack(leased.packed), route)
        except Unmappable as error:
            _log("delivery.parked", leased, why="unmappable")
            parked = settlement_of(leased, State.PARKED, "unmappable", str(error), cause="mapping")
            return replace(parked, revision=route.revision)
        if steady() > leased.start_by:
            # Another worker may lease the lane before the send is over: it is leased once more.
            _log("delivery.put_back", leased)
            return settlement_of(leased, State.QUEUED, "", "")
        return self._send(leased, body)

    def _outgoing(self, leased: Leased, raw: bytes, route: Route) -> Mapping[str, Any]:
        """Make the body to be sent; raises `Unmappable`."""
        body = _read(raw)
        if not leased.late:
            return self._map(leased, body, route)
        found = leased.newest or self.store.find_newest(leased)
        kept = {event: _read(unpack(packed)) for event, packed in found.packed.items()}
        body = stale.renewed(body, found.sources, kept)
        sent = self._map(leased, body, route)
        # The record's fields are mapped as they last went out, perhaps by another route.
        other = self.plan().configuration.routes.get(found.route)
        if other is not None and other.name != route.name:
            sent["issue"] = self._map(leased, {"issue": body["issue"]}, other)["issue"]
        return sent

    def _map(self, leased: Leased, body: Mapping[str, Any], route: Route) -> dict[str, Any]:
        parts = ((effect.identity, effect.part) for effect in leased.effects)
        return outgoing(
            body,
            record=leased.record,
            key=leased.key,
            drop=parts_left_out(parts, leased.identities),
            route=route,
            target=self.target,
        )

    def _send(self, leased: Leased, body: Mapping[str, Any]) -> Settlement:
        try:
            receipt = self.destination.send(body)
        except DeliveryError as error:
            return self._settle_error(leased, error)
        except Exception as error:  # noqa: BLE001 - the body may have been on its way already
            kind = log_mistake(self.target.name, error, leased)
            doubt = InDoubt(f"the bridge itself failed while sending: {kind}")
            return self._settle_error(leased, doubt)
        return _delivered(leased, receipt)

    # What an error becomes

    def _settle_error(self, leased: Leased, error: DeliveryError) -> Settlement:
        """Return the settlement of a failed send, as the class of its error demands."""
        outcome = next(word for kind, word in _OUTCOMES if isinstance(error, kind))
        _log("delivery.failed", leased, outcome=outcome, status=error.status)
        answer = f"{error}: {error.answer}" if error.answer else str(error)
        failed = replace(
            settlement_of(leased, State.RETRYING, outcome, answer),
            status=error.status,
            failed=isinstance(error, NotSent | Failed | InDoubt),
        )
        if isinstance(error, Gone):
            return replace(failed, pause_reason=str(error) if self._token_is_current() else "")
        if isinstance(error, InDoubt) and not self._may_repeat(leased):
            return replace(failed, state=State.IN_DOUBT)
        streak = _streak(leased, error)
        delay_ms = retry.retry_delay_ms(self.policy, streak, error, jitter=self.jitter())
        if delay_ms is None:
            return _parked(failed, leased, error)
        block_ms = delay_ms if isinstance(error, Throttled) else 0
        return replace(failed, delay_ms=delay_ms, block_ms=block_ms)

    def _token_is_current(self) -> bool:
        """Whether the token was not replaced while a body was sent with it."""
        target = self.plan().configuration.targets.get(self.target.name)
        return target is None or target.token == self.target.token


def _event_of(leased: Leased) -> Event | None:
    """Read the event of a delivery from its stored body; None when retention took the body."""
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
            body=unpack(leased.packed),
        )
    )


def _read(raw: bytes) -> dict[str, Any]:
    try:
        return bodies.read(raw).value  # type: ignore[no-any-return]  # a stored body is an object
    except bodies.TooMuch as error:  # an earlier version accepted it
        raise Unmappable(str(error)) from error


def _streak(leased: Leased, error: DeliveryError) -> Streak:
    # A destination that asks to wait is no failure of the lane: its attempts are counted.
    before = leased.attempts if isinstance(error, Throttled) else leased.failures
    return Streak(failures=before + 1, lasted_ms=leased.failing_for_ms, alone=leased.alone)


def _delivered(leased: Leased, receipt: Receipt) -> Settlement:
    _log("delivery.delivered", leased, status=receipt.status, millis=receipt.millis)
    return replace(
        settlement_of(leased, State.DELIVERED, "delivered", receipt.answer),
        status=receipt.status,
        duration_ms=receipt.millis,
    )


def _parked(failed: Settlement, leased: Leased, error: DeliveryError) -> Settlement:
    """Park a delivery that was refused, or failed too long while other records came through."""
    if isinstance(error, Refused):
        return replace(failed, state=State.PARKED, cause="refused")
    reason = retry.parked_reason(leased.attempts + 1, leased.failing_since, failed.answer)
    _log("delivery.parked", leased, why="failing")
    return replace(failed, state=State.PARKED, cause="failing", answer=reason[:ANSWER_CHARS])


def settlement_of(
    leased: Leased, state: State, outcome: str, answer: str, *, cause: str = ""
) -> Settlement:
    """Return the settlement of a leased delivery; a long answer is cut."""
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


def log_mistake(destination: str, error: Exception, leased: Leased | None = None) -> str:
    """Log where the bridge itself failed, without the error's text; returns the error's class."""
    kind, event = type(error).__name__, "" if leased is None else leased.event
    where = stack_frames(error)
    log.error("delivery.mistake", event_id=event, destination=destination, error=kind, where=where)
    return kind


def _log(what: str, leased: Leased, **more: object) -> None:
    # A delivery that went well is in the decision log; a line each would cost more than the send.
    write = log.debug if what == "delivery.delivered" else log.info
    write(
        what,
        event_id=leased.event,
        delivery=leased.delivery,
        destination=leased.destination,
        key=leased.key,
        **more,
    )
