"""How things stand: an account in which every event appears once, and what is on its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge import config
from bridge.desk import instant, naming, sites
from bridge.model import Configuration, VerdictName
from bridge.store import Store
from bridge.store.history import Account, account, stuck

#: How many deliveries that wait for a person are told of one by one.
TOLD = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The account of a store and its spool."""

    account: Account
    #: Deliveries that wait for a person, the longest waiting first, with the reason.
    stuck: tuple[Mapping[str, Any], ...] = ()
    #: By how much the engine's clock is ahead of the host's, in ms.
    ahead: int = 0
    #: Bytes that wait in the spool, of all processes that share it.
    spool: int
    #: Requests that the database refused, for a person to look at.
    refused: int
    #: What does not work as it should, one sentence each.
    degraded: tuple[str, ...] = ()

    @property
    def received(self) -> int:
        """Count every event that was kept."""
        return sum(self.account.events.values())

    @property
    def verdicts(self) -> Mapping[str, int]:
        """Count events by what they came to; their sum is `received`."""
        return {name.value: self.account.events.get(name, 0) for name in VerdictName}


def take(store: Store, spool: Path, configuration: Configuration | None = None) -> Status:
    """Count everything, from the rows alone, and hold it against the mappings, if there are any."""
    with store.reading() as conn:
        found, waiting = account(conn), stuck(conn, TOLD)
    misnamed = () if configuration is None else naming.take(store, configuration)
    return Status(
        account=found,
        stuck=waiting,
        ahead=store.ahead(),
        spool=sum(path.stat().st_size for path in spool.glob("*.spool")),
        refused=sum(1 for _ in spool.glob("*.refused")),
        degraded=(*_mappings_not_in_use(spool), *misnamed, *sites.take(store)),
    )


def _mappings_not_in_use(spool: Path) -> Iterator[str]:
    for folder, trouble in config.troubles(spool):
        yield f"the mappings in {folder} are not in use, but the last good ones: {trouble}"


def _on_the_wall(until: int, ahead: int) -> int | None:
    """Give an instant of the engine's clock as people's clocks will show it, in ms."""
    return until - ahead if until else None


def told(status: Status) -> dict[str, Any]:
    """Say it as plain data."""
    found = status.account
    return {
        "received": status.received,
        "verdicts": dict(status.verdicts),
        "deliveries": dict(found.deliveries),
        "destinations": {
            name: {
                "paused": gate["paused"],
                "blocked_until": instant(_on_the_wall(gate["blocked_until"], status.ahead)),
                "failures": gate["failures"],
                "breaker": _breaker(gate, status.ahead),
                "open": dict(found.open.get(name, {})),
            }
            for name, gate in found.destinations.items()
        },
        "stuck": [
            {
                "event": row["event"],
                "destination": row["destination"],
                "key": row["key"] or row["record"],
                "state": row["state"],
                "since": instant(row["updated"]),
                "why": row["why"],
            }
            for row in status.stuck
        ],
        "oldest_unfinished": instant(found.oldest),
        "degraded": list(status.degraded),
        "spool": {"bytes": status.spool, "refused": status.refused},
    }


def _breaker(gate: Mapping[str, Any], ahead: int) -> str:
    if not gate["opened"]:
        return "closed"
    opened, at = (instant(_on_the_wall(gate[name], ahead)) for name in ("opened", "anyone_at"))
    return f"open since {opened}, next probe at {at}"
