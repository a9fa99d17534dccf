"""The loop of a worker: settle a delivery and lease the next, deliver it, and again."""

from __future__ import annotations

import threading

from bridge.delivery.deliver import Deliverer, log_mistake, settlement_of
from bridge.model import State
from bridge.store import Down, Leased, Next, Settlement


def run(deliverer: Deliverer, stopping: threading.Event) -> None:
    """Deliver until `stopping` is set; a delivery in flight then is finished and settled."""
    settlement: Settlement | None = None
    while True:
        request = None if stopping.is_set() else deliverer.request
        try:
            answer = deliverer.store.settle_and_lease(settlement, request)
        except Exception as error:  # noqa: BLE001 - a worker outlives a statement that is refused
            # An outage must not make the worker forget what it sent: it keeps the settlement. One
            # that the database refuses is let go: its lease ends, and then it is in doubt.
            if not isinstance(error, Down):
                log_mistake(deliverer.target.name, error)
                settlement = None
            stopping.wait(deliverer.poll_s)
            if stopping.is_set():
                return
            continue
        settlement = None
        if answer.leased is not None:
            settlement = attend(deliverer, answer.leased)
        elif request is None:
            return
        else:
            deliverer.store.wakeups.wait(request.destination, _wait_s(answer, deliverer.poll_s))


def _wait_s(answer: Next, poll_s: float) -> float:
    return poll_s if answer.wait_ms is None else min(poll_s, answer.wait_ms / 1000)


def attend(deliverer: Deliverer, leased: Leased) -> Settlement | None:
    """Deliver, and settle also a delivery on which the bridge itself failed before it was sent."""
    try:
        return deliverer.deliver(leased)
    except Down:
        return settlement_of(leased, State.QUEUED, "", "")
    except Exception as error:  # noqa: BLE001 - the lane must not stay leased
        kind = log_mistake(deliverer.target.name, error, leased)
        reason = f"the bridge itself failed on this: {kind}"
        return settlement_of(leased, State.PARKED, "mistake", reason, cause="mistake")
