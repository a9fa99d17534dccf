"""What was decided for an event: the rows, and what the event came to as a whole."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from sqlalchemy import Connection, select, update

from bridge.core.printable import storable
from bridge.model import Verdict, VerdictName
from bridge.store import schema as t

#: The verdicts that may change, or that something hangs on; the others are packed into the event.
LIVE = frozenset({VerdictName.DELIVER, VerdictName.UNDECIDED, VerdictName.DUPLICATE})

#: What an event as a whole came to is the strongest of its verdicts, in this order.
STRENGTH = (
    VerdictName.DELIVER,
    VerdictName.UNDECIDED,
    VerdictName.DUPLICATE,
    VerdictName.STALE,
    VerdictName.ECHO,
    VerdictName.FORBIDDEN,
    VerdictName.FILTERED,
    VerdictName.REJECTED,
)


def strongest(names: Iterable[str]) -> str:
    """Return the verdict that an event as a whole came to."""
    found = set(names)
    return next((name for name in STRENGTH if name in found), VerdictName.FILTERED)


def set_verdict(conn: Connection, event: str, verdict: Verdict) -> None:
    """Decide the undecided verdict of an event for a destination, and the event as a whole.

    A verdict that names no route leaves the one that was undecided.
    """
    reason = storable(verdict.reason)
    values = {
        "verdict": verdict.name,
        "reason": reason,
        "first": verdict.first,
        "stage": verdict.stage,
    }
    if verdict.route:
        values["route"] = verdict.route
    conn.execute(
        update(t.verdicts)
        .where(
            t.verdicts.c.event == event,
            t.verdicts.c.destination == verdict.destination,
            t.verdicts.c.verdict == VerdictName.UNDECIDED,
        )
        .values(values)
    )
    refresh_outcome(conn, event)


def refresh_outcome(conn: Connection, event: str) -> None:
    """Write down again what an event as a whole came to, by its verdicts as they are now."""
    names = set(conn.scalars(select(t.verdicts.c.verdict).where(t.verdicts.c.event == event)))
    packed = conn.scalar(select(t.events.c.verdicts).where(t.events.c.id == event))
    names |= {verdict["verdict"] for verdict in orjson.loads(packed or "[]")}
    conn.execute(update(t.events).where(t.events.c.id == event).values(outcome=strongest(names)))
