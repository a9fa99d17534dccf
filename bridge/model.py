"""The nouns of the bridge, one word for one thing; see the glossary in docs/words.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class VerdictName(StrEnum):
    """What was decided for (event, route, destination)."""

    DELIVER = "deliver"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    ECHO = "echo"
    FORBIDDEN = "forbidden"
    UNDECIDED = "undecided"
    REJECTED = "rejected"
    STALE = "stale"


class Stage(StrEnum):
    """The stage that made a verdict, in the order in which an event meets them."""

    #: The request is read into an event: rejected.
    READ = "read"
    #: Routes are picked by the event's hook and project: filtered.
    ROUTED = "routed"
    #: The stages of `core.decide`, for each route.
    SAYS_SOMETHING = "says_something"
    ABOUT_A_RECORD = "about_a_record"
    ASKED_FOR = "asked_for"
    NOT_AN_ECHO = "not_an_echo"
    OPEN_TO_ALL = "open_to_all"
    PASSES_FILTER = "passes_filter"
    #: A thin event that no stage ended waits for a complete one: undecided.
    COMPLETE = "complete"
    #: The run-as user may write in the route's workspace: forbidden.
    PERMITTED = "permitted"
    #: The last word of the route's `unknown`: deliver or filtered.
    UNKNOWN = "unknown"
    #: Events accepted before are compared by their instants: stale.
    STALE = "stale"
    #: The effects are claimed for the destination: duplicate.
    CLAIMED = "claimed"
    #: A complete event takes the place of a thin one: duplicate. Where no route wants the event in
    #: that place, its first duplicate takes it: undecided.
    TAKEN_OVER = "taken_over"


class State(StrEnum):
    """Where a delivery is on its way."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    DISCARDED = "discarded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One atomic change inside an event: the unit of deduplication."""

    #: Equal for every telling of the same change at one site, and for nothing else.
    identity: str
    #: Identities that another telling of it may have: its instant lies at the edge of what counts
    #: as one instant, and may be told a little differently.
    also: tuple[str, ...] = ()
    #: The word of a mapping's `events` that selects it: issue_created, comment_updated, ...
    event: str
    #: The top-level key of the body that tells it ("comment", "changelog", ...); left out of what
    #: is sent when another delivery carries this effect. "" when the body as a whole tells it.
    part: str = ""
    #: The receiver writes something new each time it is told (a comment, a worklog).
    writes: bool = False
    #: Restricted at the sender: a comment with a visibility, or internal to a service desk.
    private: bool = False
    #: Why this is our own writing coming back, or "".
    echo: str = ""
    #: The identity of the effect that makes this one stale (a comment's deletion), or "".
    stale_after: str = ""
    #: The identity under which an older version of the bridge may have claimed it, or "".
    formerly: str = ""
    #: What it tells a version of, the same for all of its versions (comment:10042), or "".
    of: str = ""
    #: The instant of that version, in ms since the epoch; 0 if it is not known.
    version: int = 0
    #: What of the record it sets, each of which a later effect may set again; of a changelog, the
    #: fields. Empty when that is not known.
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What arrived on a hook, before anything was made of it."""

    #: The id the sender is answered with.
    id: str
    #: The hook's name.
    hook: str
    #: The site the hook belongs to.
    site: str
    #: When it arrived, in ms since the epoch.
    received: int
    #: Header names in lower case.
    headers: Mapping[str, str]
    #: The query string's first values.
    query: Mapping[str, str]
    #: The raw bytes.
    body: bytes
    #: Why the door refused it unread; "": it was not refused. Headers and body are empty then.
    refused: str = ""
    #: Once it was put aside: its place among what others keep, by the engine's clock in ms; else 0.
    place: int = 0
    #: The same on the clock that never steps, with the boot since which that counts, where the
    #: engine's clock was not known yet; else 0 and "".
    ticks: int = 0
    boot: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing a sender told us, read into our terms."""

    id: str
    hook: str
    source: str
    site: str
    #: When it arrived, in ms since the epoch.
    received: int
    #: The sender's own name of the event, such as jira:issue_updated.
    name: str
    #: The sender's instant of the change, in ms since the epoch, if it told one.
    time: int | None = None
    #: The stable id of what it is about (a Jira issue id, as a string), or "" when about no record.
    record: str = ""
    #: The readable key of the record, or "": it can change, so nothing is keyed by it.
    key: str = ""
    #: Who did it, for people to read.
    actor: str = ""
    #: Every name the actor goes by (account id, user name, e-mail, display name), in lower case.
    handles: frozenset[str] = frozenset()
    effects: tuple[Effect, ...] = ()
    #: Why there are no effects, when there are none.
    empty: str = ""
    #: The body says nothing of its record, and a fuller telling of the same effects may follow.
    thin: bool = False
    #: The body holds the whole record (and not six fields of it): worth remembering.
    full: bool = False
    #: The record's key or container changed.
    moved: bool = False
    #: As of when the body tells the record's state, in ms since the epoch by the sender's clock; 0
    #: if it does not say.
    as_of: int = 0
    #: The sender's number of the change that led to this state, which orders those of one instant;
    #: 0 if it has none.
    change_id: int = 0
    #: What had to be mended before its body could be read, or "": part of every verdict's reason.
    note: str = ""
    #: The sender's id of this delivery attempt, the same on its retries, or "".
    delivery_id: str = ""
    #: Which attempt of the sender this is; 0 for the first.
    attempt: int = 0
    #: The installation that the body's links lead to, as host and path, or "".
    origin: str = ""
    #: The body, parsed. Never changed in place.
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a source answers by itself (a handshake), in place of our usual 200."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a filter says of one body."""

    #: True, False, or None for "this body cannot tell".
    value: bool | None
    #: The clause that decided and the value found, or what was missing; one line.
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """One line of a filter's explanation: a clause or a connective, and what it came to."""

    #: How deep it stands in the filter; 0 for the whole.
    depth: int
    text: str
    value: bool | None
    #: What was found, or what was missing; "" for a connective.
    why: str = ""


class Filter(Protocol):
    """A compiled `when`. Pure; the same body and instant always give the same answer."""

    @property
    def text(self) -> str:
        """The filter as its author wrote it."""
        ...

    @property
    def projects(self) -> frozenset[str] | None:
        """Lower-case keys, names or ids of projects, one of which must match; None: any."""
        ...

    @property
    def types(self) -> frozenset[str] | None:
        """The same for issue types."""
        ...

    def match(self, body: Mapping[str, Any], now: int) -> Answer:
        """Judge a webhook body at an instant in ms since the epoch."""
        ...

    def explain(self, body: Mapping[str, Any], now: int) -> Sequence[Clause]:
        """Judge every clause, also those that could not change the answer."""
        ...


class Mapper(Protocol):
    """The compiled `fields` of a route."""

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Map a body into a new one; raises `errors.Unmappable` where a field says to park."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One installation of a source, and what its webhook bodies leave unsaid."""

    name: str
    timezone: str = "UTC"
    #: "sunday" or "monday".
    week_starts: str = "sunday"
    #: From the most important down.
    priorities: tuple[str, ...] = ()
    #: Custom field names people use in filters -> customfield_NNNNN.
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A webhook URL of ours that someone registered at a sender."""

    name: str
    source: str
    site: str
    token: str = field(repr=False)
    #: Any of these may sign; empty: signatures are not asked for. Two while one is being replaced.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    enabled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAs:
    """The integration user that everything is written as."""

    name: str
    email: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much a destination may be sent; None: as much as it takes."""

    per_second: int | None = None
    per_minute: int | None = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.per_second or self.per_minute)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A destination as configured: where events go, and as whom."""

    name: str
    kind: str
    url: str
    token: str = field(repr=False)
    #: 1 or 2, the generation of the Aha! integration.
    integration: int = 2
    run_as: RunAs
    #: Where that user may write; empty: everywhere.
    workspaces: tuple[str, ...] = ()
    limits: Limits = field(default_factory=lambda: Limits(per_second=20, per_minute=300))
    #: verify | hold | resend
    on_doubt: str = "verify"
    #: Statuses that leave it in doubt here whether the body was taken, beside those that always do.
    doubt: frozenset[int] = frozenset()
    #: The address may be private or loopback.
    private: bool = False
    #: The name it had before, whose claims and deliveries are carried along, or "".
    was: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comments:
    """What a route does with comments."""

    #: drop | keep
    private: str = "drop"
    #: A text with {author} and {body}; "" leaves the comment as it is.
    attribution: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One mapping file: from which hooks, which filter, which fields, to which destinations."""

    #: The file's name without its ending.
    name: str
    description: str = ""
    hooks: tuple[str, ...]
    destinations: tuple[str, ...]
    workspace: str = ""
    #: The compiled `when` for each site its hooks belong to.
    filters: Mapping[str, Filter]
    #: Effect words that may pass; empty: all.
    events: frozenset[str] = frozenset()
    #: remember | lookup, and then deliver | drop
    unknown: tuple[str, ...] = ("remember", "deliver")
    #: follow | filter
    moves: str = "follow"
    comments: Comments = field(default_factory=Comments)
    mapper: Mapper
    #: Changes when anything in the file does: what a corrected mapping is known by.
    revision: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """Everything `mappings/` says, checked as a whole."""

    hooks: Mapping[str, Hook]
    targets: Mapping[str, Target]
    sites: Mapping[str, Site]
    routes: Mapping[str, Route]
    #: Lower-case handles whose changes are echoes.
    ignored_actors: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was decided for one event, one route and one destination, and why."""

    name: VerdictName
    #: One line that names the clause and the value found.
    reason: str
    route: str = ""
    destination: str = ""
    #: The identities of the effects that would be carried.
    identities: tuple[str, ...] = ()
    #: For a duplicate, the event that was first.
    first: str = ""
    #: The `Stage` that made it; "" only in rows of versions that did not keep it.
    stage: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A destination answered that it took the body. Received is not applied."""

    status: int
    #: The beginning of the answer, for the log.
    answer: str = ""
    #: How long it took.
    millis: int = 0


class Source(Protocol):
    """A module of `sources/`: its file name is the word of a hook's `source`."""

    #: The words that a route's `events` can name for this source.
    EVENTS: Collection[str]
    #: Those of them that are about a record.
    RECORD_EVENTS: Collection[str]

    def verify(self, secrets: Sequence[str], request: Request) -> None:
        """Raise `errors.BadSignature` unless one of the secrets signed the raw body."""
        ...

    def handshake(self, request: Request) -> Reply | None:
        """Answer a sender's handshake, or None when this is not one."""
        ...

    def read(self, request: Request) -> Iterable[Event]:
        """Read a body into events; raises `errors.Unreadable` for a body that is no such thing."""
        ...


class Destination(Protocol):
    """Somewhere events go; made from a `Target` by the module of `destinations/` its kind names."""

    def send(self, body: Mapping[str, Any]) -> Receipt:
        """Send one body; raises an `errors.DeliveryError`, whose class says what to do next."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
