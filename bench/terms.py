"""How long and how often to measure, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What all measures share."""

    #: How long each variant is loaded in each round.
    seconds: float
    #: How often; the figures are medians.
    rounds: int
    #: A server that databases can be made on; "": SQLite only.
    postgres: str
    #: Where databases and logs are while it lasts.
    folder: Path
    #: A tenth of the numbers of events, so that all of it takes minutes.
    quick: bool
    #: Another checkout of the bridge, to compare with this one; None: there is none.
    other: Path | None = None

    def events(self, whole: int) -> int:
        """Return how many events to take."""
        return whole // 10 if self.quick else whole
