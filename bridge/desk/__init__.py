"""Look and mend: what the commands, the API and the console share, so that they cannot disagree.

One module for each: it takes a store or a configuration and gives back values; `told` says them
as plain data, which is what `--json` prints and the API answers.
"""

from __future__ import annotations

from datetime import UTC, datetime


def instant(millis: int | None) -> str | None:
    """Write an instant of ms since the epoch as ISO 8601 in UTC."""
    if millis is None:
        return None
    when = datetime.fromtimestamp(millis / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
