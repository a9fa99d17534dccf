"""Inspect and step in: what the commands, the API and the console share, so that they agree.

Each module answers one kind of question. It takes a store or a configuration and returns values;
its `as_dict` turns them into plain data, which `--json` prints and the API returns.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.store import Delivery, EventHistory, LogEntry, Query, Replay, Totals

__all__ = ["Delivery", "EventHistory", "LogEntry", "Query", "Replay", "Totals", "instant"]


def instant(ms: int | None) -> str | None:
    """Write an instant, in ms since the epoch, as ISO 8601 in UTC."""
    if ms is None:
        return None
    when = datetime.fromtimestamp(ms / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
