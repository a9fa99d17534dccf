"""The row of a destination: what all processes know of it. Its breaker, its rates, its pause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, bindparam, select, update

from bridge.core import breaker
from bridge.core.breaker import Breaker
from bridge.core.rates import Rates
from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.statements import Prepared, insert_or_ignore


@dataclass(frozen=True, kw_only=True, slots=True)
class DestinationRow:
    """A destination as the database has it."""

    name: str
    #: Why it is paused; "": it is not.
    paused: str
    #: Its name in newer mappings; "": no mapping renames it. Nothing is sent under a former name.
    renamed_to: str
    breaker: Breaker
    rates: Rates


_BREAKER = tuple(field.name for field in fields(Breaker))
_ROW = select(t.destinations).where(t.destinations.c.name == bindparam("name"))
_READ = Prepared(_ROW)
#: Permits and failures are counted, so the row must be locked by those who count.
_LOCK = Prepared(_ROW.with_for_update())
_SET_BREAKER = Prepared(
    update(t.destinations)
    .where(t.destinations.c.name == bindparam("b_name"))
    .values(paused=bindparam("b_paused"), **{name: bindparam(f"b_{name}") for name in _BREAKER})
)
_SET_RATES = Prepared(
    update(t.destinations)
    .where(t.destinations.c.name == bindparam("b_name"))
    .values(second=bindparam("b_second"), minute=bindparam("b_minute"))
)


def read_destination(conn: Connection, name: str, *, lock: bool = False) -> DestinationRow | None:
    """Read the row of a destination, or None; `lock` locks it till the commit."""
    row = (_LOCK if lock else _READ).first(conn, {"name": name})
    if row is None:
        return None
    return DestinationRow(
        name=row.name,
        paused=row.paused,
        renamed_to=row.renamed_to,
        breaker=Breaker(**{field: getattr(row, field) for field in _BREAKER}),
        rates=Rates(tat_second_us=row.second, tat_minute_us=row.minute),
    )


def set_breaker(
    conn: Connection, row: DestinationRow, state: Breaker, *, paused: str | None = None
) -> None:
    """Write a breaker into a locked row; `paused` is the new reason of a pause, None keeps it."""
    values = {f"b_{field}": value for field, value in asdict(state).items()}
    reason = row.paused if paused is None else paused
    _SET_BREAKER.run(conn, {"b_name": row.name, "b_paused": reason, **values})


def set_rates(conn: Connection, name: str, rates: Rates) -> None:
    """Write how much a destination was sent into its locked row."""
    values = {"b_second": rates.tat_second_us, "b_minute": rates.tat_minute_us}
    _SET_RATES.run(conn, {"b_name": name, **values})


def spare_probe(conn: Connection, now: int, destination: str, lane: int) -> None:
    """Let another lane be the breaker's probe, if this lane was and sent nothing after all."""
    row = read_destination(conn, destination)
    if row is None or row.breaker.probe != lane:
        return
    row = read_destination(conn, destination, lock=True)
    if row is not None:
        set_breaker(conn, row, breaker.spare(row.breaker, lane, now))


# Register, pause and resume


def register(conn: Connection, now: int, tokens: Mapping[str, str]) -> None:
    """Register destinations: `tokens` maps each name to the hash of its token.

    A new token ends a pause; under a name that was given up, it is another destination.
    """
    if tokens:
        rows = [{"name": name, "token_hash": hashed} for name, hashed in sorted(tokens.items())]
        conn.execute(insert_or_ignore(conn, t.destinations), rows)
    for name, hashed in sorted(tokens.items()):
        changed = conn.execute(
            update(t.destinations)
            .where(t.destinations.c.name == name, t.destinations.c.token_hash != hashed)
            .values(token_hash=hashed, paused="", renamed_to="", **asdict(Breaker()))
        )
        if changed.rowcount:
            retry_now(conn, now, name)


def resume(conn: Connection, now: int, destination: str) -> bool:
    """End a destination's pause and retry its deliveries at once; False: it is not registered."""
    found = conn.execute(
        update(t.destinations)
        .where(t.destinations.c.name == destination)
        .values(paused="", **asdict(Breaker()))
    )
    retry_now(conn, now, destination)
    return bool(found.rowcount)


def retry_now(conn: Connection, now: int, destination: str) -> None:
    """Make all lanes of a destination due that wait for a next attempt, and reset their failures.

    A lane that another transaction has locked is skipped: its worker lets it go on.
    """
    retrying = select(t.deliveries.c.lane).where(
        t.deliveries.c.state == State.RETRYING, t.deliveries.c.destination == destination
    )
    waiting = (
        select(t.lanes.c.id)
        .where(t.lanes.c.id.in_(retrying), t.lanes.c.next_at > now)
        .with_for_update(skip_locked=True)
    )
    conn.execute(
        update(t.lanes)
        .where(t.lanes.c.id.in_(waiting))
        .values(next_at=now, failures=0, failing_since=now)
    )
