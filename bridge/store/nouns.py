"""What one accepting transaction has in hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.core.plan import Plan
from bridge.core.stale import Report
from bridge.model import Event, Verdict

#: (destination, site, identity)
ClaimKey = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An event with the verdicts of the door, ready to be kept."""

    event: Event
    verdicts: tuple[Verdict, ...]
    #: The raw body, packed; None when it must not be kept.
    packed: bytes | None
    #: The plan that its verdicts are by, which also decides the undecided by a snapshot of the
    #: record; None: no route was asked.
    plan: Plan | None = None
    #: It may have been kept before (it comes from the spool).
    again: bool = False
    #: When it was received, by the database's clock in ms: its place in its lanes. None: now.
    place: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A stored delivery of a thin event that waits for a fuller telling; kept still till commit."""

    id: int
    lane: int
    hold_until: int
    hook: str
    site: str
    record: str
    identities: tuple[str, ...]


@dataclass(kw_only=True, slots=True, eq=False)
class Planned:
    """A delivery about to be queued; a fuller telling in the same batch may still take it over."""

    event: Event
    destination: str
    route: str
    identities: tuple[str, ...]
    hold_until: int | None
    #: Its place in its lane; None: the last.
    place: int | None = None
    #: A newer telling of its record was accepted before.
    late: bool = False

    @property
    def hook(self) -> str:
        """The hook it came through."""
        return self.event.hook

    @property
    def site(self) -> str:
        """The site it is from."""
        return self.event.site

    @property
    def record(self) -> str:
        """The record it is about."""
        return self.event.record


@dataclass(kw_only=True, slots=True)
class Batch:
    """What one transaction has found and is going to write."""

    #: In ms; 0 until the clock was read.
    now: int = 0
    #: Who holds which effect: the event.
    held: dict[ClaimKey, str] = field(default_factory=dict)
    #: What effects were called by older versions: (site, identity) -> the identity then.
    formerly: dict[tuple[str, str], str] = field(default_factory=dict)
    #: Other claims that an effect is taken by, when one of them is: see `Effect.also`.
    also: dict[ClaimKey, tuple[ClaimKey, ...]] = field(default_factory=dict)
    #: Claims this transaction made that no verdict has taken yet.
    free: set[ClaimKey] = field(default_factory=set)
    #: Deliveries of thin events that still wait, by (event, destination).
    waiting: dict[tuple[str, str], Waiting | Planned] = field(default_factory=dict)
    #: Lanes that are kept still and known by now: (destination, record) -> id.
    lanes: dict[tuple[str, str], int] = field(default_factory=dict)
    planned: list[Planned] = field(default_factory=list)
    #: Lanes (of a destination) that may have been waiting for what no longer waits, till when.
    hurried: dict[tuple[str, int], int] = field(default_factory=dict)
    #: When the event (first) of a destination and lane was told of already: what came late said so.
    earlier: dict[tuple[str, str, str], int] = field(default_factory=dict)
    #: What was accepted before, by what it tells the state of: (site, record, comment or worklog).
    tellings: dict[tuple[str, str, str], list[Report]] = field(default_factory=dict)
    #: The events that were decided so far, by id.
    events: dict[str, Event] = field(default_factory=dict)
    #: What was decided, by event.
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
