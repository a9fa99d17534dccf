"""The row of a destination: what all processes know of it, and its breaker."""

from __future__ import annotations

from dataclasses import asdict, fields

from sqlalchemy import Connection, bindparam, select, update

from bridge.core import breaker
from bridge.core.breaker import Breaker
from bridge.store import schema as t
from bridge.store.database.statements import Prepared
from bridge.store.queue.limits import Gate

_FIELDS = tuple(field.name for field in fields(Breaker))
_GATE = select(t.destinations).where(t.destinations.c.name == bindparam("name"))
_LOOK = Prepared(_GATE)
#: Permits and failures are counted here, so whoever does must be alone with the row.
_HOLD = Prepared(_GATE.with_for_update())
_SET = Prepared(
    update(t.destinations)
    .where(t.destinations.c.name == bindparam("b_name"))
    .values(paused=bindparam("b_paused"), **{name: bindparam(f"b_{name}") for name in _FIELDS})
)


def gate_of(conn: Connection, destination: str, *, hold: bool = False) -> Gate | None:
    """Read what all processes know of a destination; `hold` keeps it still till the commit."""
    found: Gate | None = (_HOLD if hold else _LOOK).first(conn, {"name": destination})
    return found


def breaker_of(gate: Gate) -> Breaker:
    """Return the breaker that a destination's row holds."""
    return Breaker(**{name: getattr(gate, name) for name in _FIELDS})


def set_breaker(conn: Connection, gate: Gate, state: Breaker, *, paused: str | None = None) -> None:
    """Write a breaker into a destination's row that is held; `paused` says why, "" for not."""
    values = {f"b_{name}": value for name, value in asdict(state).items()}
    why = gate.paused if paused is None else paused
    _SET.run(conn, {"b_name": gate.name, "b_paused": why, **values})


def spare_probe(conn: Connection, now: int, destination: str, lane: int) -> None:
    """Let another lane be the breaker's probe, if this one would have been."""
    gate = gate_of(conn, destination)
    if gate is None or gate.probe != lane:
        return
    gate = gate_of(conn, destination, hold=True)
    if gate is not None:
        set_breaker(conn, gate, breaker.spared(breaker_of(gate), lane, now))
