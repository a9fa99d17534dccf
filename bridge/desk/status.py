"""The state of a bridge: totals that count every event once, and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge import config
from bridge.desk import Delivery, Totals, instant, naming, sites
from bridge.model import Configuration, VerdictName
from bridge.store import SpoolUsage, Store

#: How many blocked deliveries are listed one by one.
MAX_LISTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The state of a store and its spool."""

    totals: Totals
    #: Parked and doubtful deliveries with their last answer, the longest blocked first.
    blocked: Sequence[tuple[Delivery, str]] = ()
    #: By how many ms the engine's clock is ahead of the host's.
    ahead_ms: int = 0
    #: What the spools of all processes hold.
    spool: SpoolUsage
    #: Problems, one sentence each.
    degraded: tuple[str, ...] = ()

    @property
    def received(self) -> int:
        """Count every event that was kept."""
        return sum(self.totals.events.values())

    @property
    def verdicts(self) -> Mapping[str, int]:
        """Count events by their outcome; the sum is `received`."""
        return {name.value: self.totals.events.get(name, 0) for name in VerdictName}


def status_of(store: Store, configuration: Configuration | None = None) -> Status:
    """Count everything, and compare it with the mappings where they are given; raises `Down`."""
    found, blocked = store.history.totals(), store.history.longest_blocked(MAX_LISTED)
    names = () if configuration is None else naming.warnings(store, configuration)
    return Status(
        totals=found,
        blocked=blocked,
        ahead_ms=store.ahead(),
        spool=store.spool_usage(),
        degraded=(*_mappings_not_in_use(store.spool_folder), *names, *sites.warnings(store)),
    )


def totals(store: Store) -> Totals:
    """Count every event and delivery once; raises `Down`."""
    return store.history.totals()


def _mappings_not_in_use(spool: Path) -> Iterator[str]:
    for folder, error in config.reload_errors(spool):
        yield f"the mappings in {folder} are not in use, but the last good ones: {error}"


def as_dict(status: Status) -> dict[str, Any]:
    """Return a status as plain data."""
    found = status.totals
    return {
        "received": status.received,
        "verdicts": dict(status.verdicts),
        "deliveries": dict(found.deliveries),
        "destinations": {
            name: {
                "paused": row["paused"],
                "blocked_until": instant(_by_host_clock(row["blocked_until"], status.ahead_ms)),
                "failures": row["failures"],
                "breaker": _breaker(row, status.ahead_ms),
                "open": dict(found.open.get(name, {})),
            }
            for name, row in found.destinations.items()
        },
        "stuck": [
            {
                "event": delivery.event,
                "destination": delivery.destination,
                "key": delivery.key or delivery.record,
                "state": delivery.state,
                "since": instant(delivery.updated),
                "why": answer,
            }
            for delivery, answer in status.blocked
        ],
        "oldest_unfinished": instant(found.oldest),
        "degraded": list(status.degraded),
        "spool": {"bytes": status.spool.bytes, "refused": status.spool.refused},
    }


def _by_host_clock(until: int, ahead_ms: int) -> int | None:
    """Convert an instant of the engine's clock to the host's, which people read; None for 0."""
    return until - ahead_ms if until else None


def _breaker(row: Mapping[str, Any], ahead_ms: int) -> str:
    if not row["opened"]:
        return "closed"
    opened, at = (instant(_by_host_clock(row[name], ahead_ms)) for name in ("opened", "anyone_at"))
    return f"open since {opened}, next probe at {at}"
