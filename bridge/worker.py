"""Deliver: claim a lane, decide what waited, map, send, settle; each destination on its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog

from bridge import sources, store
from bridge.core import decide, retry
from bridge.core.decide import Plan
from bridge.core.mapping import outgoing
from bridge.errors import (
    DeliveryError,
    Failed,
    Gone,
    InDoubt,
    NotSent,
    Refused,
    Throttled,
    Unmappable,
)
from bridge.model import (
    Destination,
    Event,
    Receipt,
    Request,
    Route,
    State,
    Target,
    Verdict,
    VerdictName,
)
from bridge.store import Claimed, Down, Settlement, Store, Wish

log = structlog.get_logger()

#: How long a worker that has nothing to do waits before it looks again, in seconds.
LOOK_AGAIN = 1.0
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


_POLICY = retry.Policy()


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """What the workers of one destination share."""

    target: Target
    destination: Destination
    store: Store
    plan: Callable[[], Plan]
    #: For people to read in the lease.
    owner: str
    #: How long a lane is leased, in ms: longer than the longest send.
    lease: int
    policy: retry.Policy = _POLICY

    @property
    def wish(self) -> Wish:
        """What a worker of this destination asks for."""
        return Wish(
            destination=self.target.name,
            owner=self.owner,
            lease=self.lease,
            limits=self.target.limits,
        )


def run(crew: Crew, stopping: threading.Event) -> None:
    """Deliver until told to stop; what is in flight then is finished and settled."""
    settlement: Settlement | None = None
    while True:
        wish = None if stopping.is_set() else crew.wish
        try:
            turn = crew.store.exchange(settlement, wish)
        except Down:
            # The settlement is kept: what was sent must not be forgotten because of an outage.
            stopping.wait(LOOK_AGAIN)
            if stopping.is_set():
                return
            continue
        settlement = None
        if turn.claimed is not None:
            settlement = deliver(crew, turn.claimed)
        elif wish is None:
            return
        else:
            wait = LOOK_AGAIN if turn.wait is None else min(LOOK_AGAIN, turn.wait / 1000)
            crew.store.bell.wait(crew.target.name, wait)


def deliver(crew: Crew, claimed: Claimed) -> Settlement | None:
    """Bring one claimed delivery as far as it goes; None when it settled itself."""
    current: Claimed | None = claimed
    if claimed.waiting:
        current = _decide_now(crew, claimed)
    if current is None:
        return None
    if current.doubt and not _may_repeat(crew, current):
        return _settled(current, State.IN_DOUBT, "in_doubt", _STOPPED_WHILE_SENDING)
    return _send(crew, current)


_STOPPED_WHILE_SENDING = (
    "the bridge stopped while this was being sent: it may have been written; look in Aha!, then "
    "`aha-bridge retry` or `aha-bridge discard` it"
)


def _may_repeat(crew: Crew, claimed: Claimed) -> bool:
    """Tell whether what may have been written can be sent again without asking anyone."""
    return not claimed.writes or crew.target.on_doubt == "resend"


# A thin event whose grace is over


def _decide_now(crew: Crew, claimed: Claimed) -> Claimed | None:
    """Decide what no fuller telling came for; None when it is not to be sent."""
    verdict = _verdict(crew, claimed)
    if verdict.name is not VerdictName.DELIVER:
        crew.store.run(lambda conn, now: store.drop_decided(conn, now, claimed, verdict))
        _log("delivery.dropped", claimed, verdict=verdict.name.value)
        return None
    won = crew.store.run(lambda conn, now: store.send_decided(conn, now, claimed, verdict))
    if not won:
        return None
    carried = set(verdict.effects)
    return replace(
        claimed,
        route=verdict.route,
        effects=verdict.effects,
        waiting=False,
        writes=any(writes for identity, _, _, writes in claimed.told if identity in carried),
    )


def _verdict(crew: Crew, claimed: Claimed) -> Verdict:
    plan = crew.plan()
    event = _read_again(claimed)
    if event is None:
        reason = "the body is no longer kept"
        return Verdict(name=VerdictName.FILTERED, reason=reason, destination=crew.target.name)
    with crew.store.reading() as conn:
        memory = store.twin(conn, event) or store.remember(conn, event.site, event.record)
    told = [
        verdict
        for verdict in decide.resolve(plan, event, claimed.received, memory=memory)
        if verdict.destination in (crew.target.name, "")
    ]
    wanted = next((v for v in told if v.name is VerdictName.DELIVER), None)
    found = wanted or next((v for v in told if v.destination), told[0])
    held = tuple(name for name in found.effects if name in claimed.effects)
    return replace(found, destination=crew.target.name, effects=held)


def _read_again(claimed: Claimed) -> Event | None:
    """Read a kept body as it was read at the door."""
    if claimed.packed is None:
        return None
    request = Request(
        id=claimed.event,
        hook=claimed.hook,
        site=claimed.site,
        received=claimed.received,
        headers={},
        query={},
        body=store.unpack(claimed.packed),
    )
    events = sources.get(claimed.source).read(request)
    found = next(event for event in events if event.id == claimed.event)
    return replace(found, record=claimed.record, key=claimed.key)


# Send


def _send(crew: Crew, claimed: Claimed) -> Settlement:
    route = crew.plan().configuration.routes.get(claimed.route)
    if route is None:
        reason = f"the route {claimed.route} is no longer in the mappings"
        return _settled(claimed, State.PARKED, "no_route", reason, cause="route")
    if claimed.packed is None:
        return _settled(claimed, State.PARKED, "no_body", "the body is no longer kept")
    try:
        receipt = crew.destination.send(_body(crew, claimed, route))
    except Unmappable as error:
        _log("delivery.parked", claimed, why="unmappable")
        return _settled(
            claimed,
            State.PARKED,
            "unmappable",
            str(error),
            cause="mapping",
            revision=route.revision,
        )
    except DeliveryError as error:
        return _failed(crew, claimed, error)
    return _delivered(claimed, receipt)


def _body(crew: Crew, claimed: Claimed, route: Route) -> Mapping[str, Any]:
    assert claimed.packed is not None  # noqa: S101 - asked by the caller
    return outgoing(
        orjson.loads(store.unpack(claimed.packed)),
        record=claimed.record,
        key=claimed.key,
        drop=parts_left_out(claimed),
        route=route,
        target=crew.target,
    )


def parts_left_out(claimed: Claimed) -> frozenset[str]:
    """Name the parts of the body that tell only of effects which others carry."""
    carried = {part for identity, _, part, _ in claimed.told if identity in claimed.effects}
    told = {part for _, _, part, _ in claimed.told if part}
    return frozenset(told - carried)


def _delivered(claimed: Claimed, receipt: Receipt) -> Settlement:
    _log("delivery.delivered", claimed, status=receipt.status, millis=receipt.millis)
    return replace(
        _settled(claimed, State.DELIVERED, "delivered", receipt.answer),
        status=receipt.status,
        millis=receipt.millis,
    )


def _failed(crew: Crew, claimed: Claimed, error: DeliveryError) -> Settlement:
    """Turn an error into what its class says to do."""
    word = next(word for kind, word in _WORDS if isinstance(error, kind))
    _log("delivery.failed", claimed, outcome=word, status=error.status)
    answer = f"{error}: {error.answer}" if error.answer else str(error)
    settled = replace(
        _settled(claimed, State.RETRYING, word, answer),
        status=error.status,
        failed=isinstance(error, NotSent | Failed | InDoubt),
    )
    if isinstance(error, Gone):
        return replace(settled, pause=str(error))
    if isinstance(error, InDoubt) and not _may_repeat(crew, claimed):
        return replace(settled, state=State.IN_DOUBT)
    delay = retry.next_attempt(
        crew.policy, claimed.attempts + 1, error, now=0, jitter=random.random()
    )
    if delay is None:
        return replace(settled, state=State.PARKED, cause="refused")
    block = delay if isinstance(error, Throttled) else 0
    return replace(settled, delay=delay, block=block)


def _settled(
    claimed: Claimed,
    state: State,
    outcome: str,
    answer: str,
    *,
    cause: str = "",
    revision: str = "",
) -> Settlement:
    return Settlement(
        lane=claimed.lane,
        fence=claimed.fence,
        delivery=claimed.delivery,
        destination=claimed.destination,
        state=state,
        outcome=outcome,
        answer=answer[:500],
        cause=cause,
        revision=revision,
    )


def _log(what: str, claimed: Claimed, **more: object) -> None:
    log.info(
        what,
        event_id=claimed.event,
        delivery=claimed.delivery,
        destination=claimed.destination,
        key=claimed.key,
        **more,
    )
