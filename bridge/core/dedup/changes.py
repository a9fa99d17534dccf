"""The nouns of keeping events: entries, the rows known about them, and the changes of rows.

`core.dedup` makes `Changes` of entries and `Known`; the store reads `Known` and writes `Changes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.core.plan import Plan
from bridge.core.stale import Report
from bridge.model import Event, Verdict, VerdictName

#: (destination, site, identity): a claim is a row that lets one event carry an effect.
ClaimKey = tuple[str, str, str]
#: (site, record, "") for the state of a record, (site, "", identity) for versions of a comment.
StateKey = tuple[str, str, str]


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
    #: The event may have been kept before: it comes from the spool, or the commit is repeated.
    again: bool = False
    #: When it was received, by the database's clock in ms: its place in its lanes. None: now.
    place: int | None = None


def is_wanted(verdict: Verdict) -> bool:
    """Whether a verdict asks for its effects to be carried."""
    return verdict.name in (VerdictName.DELIVER, VerdictName.UNDECIDED)


# Known rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """The row of a delivery of a thin event that waits for a complete one; locked until commit."""

    id: int
    #: The id of its lane.
    lane: int
    #: When its grace ends, in ms.
    hold_until: int
    writes: bool
    late: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A delivery of a thin event that a complete event may still take over."""

    #: The thin event.
    event: str
    destination: str
    hook: str
    site: str
    record: str
    #: The effects it carries, whose claims the thin event holds.
    identities: tuple[str, ...]
    #: Its row, or its number among the new deliveries of this batch.
    at: Stored | int


@dataclass(frozen=True, kw_only=True, slots=True)
class Heir:
    """A duplicate of a thin event: it may stand in its place if that event's hook wants nothing."""

    event: str
    hook: str
    #: The route of its duplicate verdict.
    route: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The rows that the events of one batch are decided by."""

    #: (site, identity) of a deletion -> the event that reported it.
    deletions: Mapping[tuple[str, str], str] = field(default_factory=dict)
    #: Accepted events that may be newer, by the state they report.
    reports: Mapping[StateKey, Sequence[Report]] = field(default_factory=dict)
    #: Stored deliveries of thin events, which some of the events may take over.
    waiting: Sequence[Waiting] = ()
    #: Claims that this transaction inserted, with the event that each row names.
    reserved: Mapping[ClaimKey, str] = field(default_factory=dict)
    #: The other requested claims, with the events that hold them.
    held: Mapping[ClaimKey, str] = field(default_factory=dict)
    #: Stored duplicates of waiting events, by (event, destination), the oldest first.
    heirs: Mapping[tuple[str, str], Sequence[Heir]] = field(default_factory=dict)


# Changes


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """A delivery to be queued."""

    event: Event
    destination: str
    route: str
    identities: tuple[str, ...]
    #: When the grace of a thin event ends, in ms; None: it can be sent at once.
    hold_until: int | None = None
    #: Its place in its lane, in ms; None: the last.
    place: int | None = None
    #: A newer event of its record was accepted before.
    late: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """A stored delivery that another event carries from now on."""

    id: int
    event: str
    route: str
    identities: tuple[str, ...]
    writes: bool
    #: In ms; None: it no longer waits.
    hold_until: int | None
    late: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedClaim:
    """A stored claim that another event holds from now on."""

    key: ClaimKey
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A stored undecided verdict is decided; a verdict without a route leaves the stored one."""

    event: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """The stored duplicates of one event are duplicates of another one from now on."""

    destination: str
    site: str
    #: The effects that all of them report.
    identities: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Promoted:
    """A stored duplicate is undecided again, and its body is that of the event it came after."""

    event: str
    destination: str
    #: The event it was a duplicate of.
    first: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The changes that one batch of events makes in the database."""

    #: The verdicts of the events of the batch, by event.
    verdicts: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict)
    #: New deliveries, in the order in which they are queued.
    deliveries: tuple[NewDelivery, ...] = ()
    #: Stored deliveries that other events carry from now on, and ids of those that are removed.
    rewritten: tuple[Rewritten, ...] = ()
    removed: tuple[int, ...] = ()
    moved: tuple[MovedClaim, ...] = ()
    released: tuple[ClaimKey, ...] = ()
    #: Changes of stored verdicts, in the order in which they apply.
    stored: tuple[Ended | Followed | Promoted, ...] = ()
    #: (destination, lane id) -> the end of the grace that the lane no longer waits for, in ms.
    woken: Mapping[tuple[str, int], int] = field(default_factory=dict)
    #: (destination, holder, site, record) -> the place that the holder's deliveries in that lane
    #: move forward to, in ms: an event from the spool reported their effects at that instant.
    forward: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
