"""The nouns of the bridge, one word for one thing; see the glossary in docs/words.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class VerdictName(StrEnum):
    """The decision for one (event, route, destination)."""

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
    """The state of a delivery."""

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

    #: The deduplication key: equal for every report of the same change on one site, and only then.
    identity: str
    #: Identities that other reports of the change may have: its instant lies at the edge of a
    #: rounding interval, and another report may round it differently.
    also: tuple[str, ...] = ()
    #: The word of a mapping's `events` that selects it: issue_created, comment_updated, ...
    event: str
    #: The top-level key of the body that holds it ("comment", "changelog", ...), which is left out
    #: of a delivery when another one carries this effect. "" when it is the body as a whole.
    part: str = ""
    #: Whether the receiver writes something new each time it is sent (a comment, a worklog).
    writes: bool = False
    #: Whether the sender restricts it: a comment with a visibility, or internal to a service desk.
    private: bool = False
    #: Why this is an echo, the bridge's own change coming back, or "".
    echo: str = ""
    #: The identity of the effect that makes this one stale (a comment's deletion), or "".
    stale_after: str = ""
    #: The identity under which an older version of the bridge may have claimed it, or "".
    formerly: str = ""
    #: The thing that it is a version of, the same for all versions (comment:10042), or "".
    of: str = ""
    #: The instant of that version, in ms since the epoch; 0 when unknown.
    version: int = 0
    #: The parts of the record that it sets and a later effect may set again: the fields of a
    #: changelog. Empty when unknown.
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request to a hook, before it is read."""

    #: The id in the answer to the sender.
    id: str
    #: The hook's name.
    hook: str
    #: The site the hook belongs to.
    site: str
    #: The receive time, in ms since the epoch.
    received: int
    #: Header names in lower case.
    headers: Mapping[str, str]
    #: The first value of each parameter in the query string.
    query: Mapping[str, str]
    #: The raw bytes.
    body: bytes
    #: Why the web process refused it unread (headers and body are empty then), or "".
    refused: str = ""
    #: For a request from the spool: its position in its lane, in ms by the database's clock.
    place: int = 0
    #: The same by the monotonic clock, with the boot id it counts from, for a request that was
    #: spooled before the database's clock was known.
    ticks: int = 0
    boot: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event that a sender reported, in the bridge's terms."""

    id: str
    hook: str
    source: str
    site: str
    #: The receive time, in ms since the epoch.
    received: int
    #: The sender's own name of the event, such as jira:issue_updated.
    name: str
    #: The sender's instant of the change, in ms since the epoch; None when the body has none.
    time: int | None = None
    #: The stable id of the record (a Jira issue id, as a string), or "" for an event without one.
    record: str = ""
    #: The readable key of the record, or ""; it can change, so the bridge never looks up by it.
    key: str = ""
    #: The name of the user who made the change, for people to read.
    actor: str = ""
    #: Every name the actor goes by (account id, user name, e-mail, display name), in lower case.
    handles: frozenset[str] = frozenset()
    effects: tuple[Effect, ...] = ()
    #: The reason for an event without effects, or "".
    empty: str = ""
    #: Whether the body names only the record's id, so that a complete event of the same effects may
    #: follow.
    thin: bool = False
    #: Whether the body holds the whole record, not six fields of it: it becomes a snapshot.
    full: bool = False
    #: Whether the record's key or container changed.
    moved: bool = False
    #: The instant of the record's state in the body, in ms since the epoch by the sender's clock; 0
    #: when unknown.
    as_of: int = 0
    #: The sender's number of the change that led to this state, which orders changes of one
    #: instant; 0 without one.
    change_id: int = 0
    #: A repair that the body needed before it could be read, or ""; every verdict's reason has it.
    note: str = ""
    #: The sender's id of its delivery, the same on its retries, or "".
    delivery_id: str = ""
    #: The number of the sender's attempt; 0 for the first.
    attempt: int = 0
    #: The installation in the body's links, as host and path, or "".
    origin: str = ""
    #: The body, parsed. Never changed in place.
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A source's own answer to a request (a handshake), instead of the usual 200."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A filter's answer for one body."""

    #: True, False, or None when the body cannot decide it.
    value: bool | None
    #: One line: the clause that decided, and the value found or missing.
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """One line of a filter's explanation: a clause or a connective, and its answer."""

    #: Its depth in the filter; 0 for the whole filter.
    depth: int
    text: str
    value: bool | None
    #: The value found or missing; "" for a connective.
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
        """Judge every clause, including clauses that cannot change the answer."""
        ...


class Mapper(Protocol):
    """The compiled `fields` of a route."""

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Map a body into a new one; raises `errors.Unmappable` where a line parks the delivery."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One installation of a source, with facts that its webhook bodies lack."""

    name: str
    timezone: str = "UTC"
    #: "sunday" or "monday".
    week_starts: str = "sunday"
    #: From the most important down.
    priorities: tuple[str, ...] = ()
    #: The names of custom fields in filters -> customfield_NNNNN.
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A webhook URL of the bridge, registered at a sender."""

    name: str
    source: str
    site: str
    token: str = field(repr=False)
    #: The accepted signing secrets, two while one replaces the other; empty: no signature needed.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    enabled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAs:
    """The integration user that the receiver writes all changes as."""

    name: str
    email: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The most requests to a destination per second and minute; None: no limit."""

    per_second: int | None = None
    per_minute: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return bool(self.per_second or self.per_minute)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A destination as configured: its URL, its token and its run-as user."""

    name: str
    kind: str
    url: str
    token: str = field(repr=False)
    #: 1 or 2, the generation of the Aha! integration.
    integration: int = 2
    run_as: RunAs
    #: The workspaces the run-as user may write in; empty: all.
    workspaces: tuple[str, ...] = ()
    limits: Limits = field(default_factory=lambda: Limits(per_second=20, per_minute=300))
    #: verify | hold | resend
    on_doubt: str = "verify"
    #: Statuses after which the body may have been written, in addition to the usual ones.
    doubt: frozenset[int] = frozenset()
    #: Whether the address may be private or loopback.
    private: bool = False
    #: Its former name, whose claims and deliveries move to it, or "".
    was: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comments:
    """The settings of a route for comments."""

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
    #: The `event` words of effects that pass; empty: all.
    events: frozenset[str] = frozenset()
    #: remember | lookup, and then deliver | drop
    unknown: tuple[str, ...] = ("remember", "deliver")
    #: follow | filter
    moves: str = "follow"
    comments: Comments = field(default_factory=Comments)
    mapper: Mapper
    #: A digest of the file's values, by which a corrected mapping is recognised.
    revision: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The mapping files together, checked as a whole."""

    hooks: Mapping[str, Hook]
    targets: Mapping[str, Target]
    sites: Mapping[str, Site]
    routes: Mapping[str, Route]
    #: Lower-case handles whose changes are echoes.
    ignored_actors: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The decision for one event, one route and one destination, with its reason."""

    name: VerdictName
    #: One line with the deciding clause and the value found.
    reason: str
    route: str = ""
    destination: str = ""
    #: The identities of the effects that the delivery carries.
    identities: tuple[str, ...] = ()
    #: For a duplicate, the earlier event.
    first: str = ""
    #: The `Stage` that made it; "" only in rows of versions without stages.
    stage: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A destination answered that it took the body. Received is not applied."""

    status: int
    #: The beginning of the answer, for the log.
    answer: str = ""
    #: The duration of the request, in ms.
    millis: int = 0


class Source(Protocol):
    """A module of `sources/`: its file name is the word of a hook's `source`."""

    #: The words that a route's `events` can name for this source.
    EVENTS: Collection[str]
    #: The words in EVENTS that are about a record.
    RECORD_EVENTS: Collection[str]

    def verify(self, secrets: Sequence[str], request: Request) -> None:
        """Raise `errors.BadSignature` unless one of the secrets signed the raw body."""
        ...

    def handshake(self, request: Request) -> Reply | None:
        """Answer a sender's handshake, or None when this is not one."""
        ...

    def read(self, request: Request) -> Iterable[Event]:
        """Read a body into events; raises `errors.Unreadable` for any other body."""
        ...


class Destination(Protocol):
    """A receiver of events, created from a `Target` by a module of `destinations/`."""

    def send(self, body: Mapping[str, Any]) -> Receipt:
        """Send one body; raises an `errors.DeliveryError`, whose class decides the next step."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...
