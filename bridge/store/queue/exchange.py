"""One transaction's share of the workers' business: settle deliveries, then lease free lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bridge.core.retry import Policy
from bridge.store.queue.lanes import Claimed, Settlement, Wish, claim, due
from bridge.store.queue.settle import settle


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A worker hands in the settlement of one delivery and requests the next."""

    #: None: the worker has nothing to settle.
    settlement: Settlement | None
    #: None: the worker stops.
    wish: Wish | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The answer to a worker: a delivery, or how long to wait for one."""

    claimed: Claimed | None
    #: In ms; None: nothing is queued.
    wait: int | None = None
    #: The settlement counted; False when the lane had been leased to another worker since.
    settled: bool = True


def settle_and_lease(
    conn: Connection, now: int, exchanges: Sequence[Exchange], *, policy: Policy, since: int | None
) -> dict[int, Turn]:
    """Settle every delivery first, then lease the free lanes.

    Returns the answer to each exchange, by its `id()`. `now` is in ms. `since` is the start of the
    transaction in ms on the steady clock, from which the time to begin a send counts; None: no lane
    is leased.
    """
    settlements = [e.settlement for e in exchanges if e.settlement is not None]
    asking = [e.wish.destination for e in exchanges if e.wish is not None and e.wish.limits.any]
    counted = settle(conn, now, settlements, policy, asking=asking) if settlements else []
    leased = {} if since is None else _lease(conn, now, exchanges, policy=policy, since=since)
    return {
        id(e): Turn(
            claimed=leased.get(id(e), _NOTHING)[0],
            wait=leased.get(id(e), _NOTHING)[1],
            settled=e.settlement is None or e.settlement in counted,
        )
        for e in exchanges
    }


_NOTHING = (None, None)


def _lease(
    conn: Connection, now: int, exchanges: Sequence[Exchange], *, policy: Policy, since: int
) -> dict[int, tuple[Claimed | None, int | None]]:
    by_destination: dict[str, list[Exchange]] = {}
    leased: dict[int, tuple[Claimed | None, int | None]] = {}
    for e in exchanges:
        leased[id(e)] = (None, None)
        if e.wish is not None:
            by_destination.setdefault(e.wish.destination, []).append(e)
    for _, asking in sorted(by_destination.items()):
        wish = asking[0].wish
        assert wish is not None  # noqa: S101 - only requests were gathered
        found = claim(conn, now, wish, len(asking), policy)
        for e, claimed in zip(asking, found, strict=False):
            leased[id(e)] = (replace(claimed, start_by=since + wish.start), 0)
        if len(found) < len(asking):
            at = due(conn, now, wish)
            wait = None if at is None else max(1, at - now)
            for e in asking[len(found) :]:
                leased[id(e)] = (None, wait)
    return leased
