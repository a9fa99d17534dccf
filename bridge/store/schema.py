"""The schema: one for both databases. Instants are ms, by the engine's clock (`clocks`)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from bridge.model import State

metadata = MetaData()

#: A 64-bit key that both databases count up by themselves.
_Counted = BigInteger().with_variant(Integer, "sqlite")

#: The states of a delivery that stays in its lane: the partial index below contains these.
OPEN = (State.QUEUED, State.SENDING, State.RETRYING, State.IN_DOUBT, State.PARKED)
#: The states in which a delivery blocks its lane until an operator decides.
BLOCKED = (State.PARKED, State.IN_DOUBT)
#: The states of a delivery that has left its lane.
OVER = (State.DELIVERED, State.DISCARDED)
OPEN_CONDITION = f"state IN ({','.join(repr(state.value) for state in OPEN)})"

#: Everything that arrived, one row each, for ever explaining itself.
events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),  # sorts by time of arrival
    Column("received", BigInteger, nullable=False),
    Column("hook", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("time", BigInteger),
    Column("actor", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("thin", Boolean, nullable=False),
    Column("full", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),  # the strongest of its verdicts
    # JSON: [[identity, word, part, writes], ...], some with [..., of, version, sets]
    Column("effects", Text, nullable=False),
    Column("verdicts", Text, nullable=False),  # JSON: verdicts that can no longer change
    Column("body", LargeBinary),  # zlib; NULL once retention took it, or when never kept
    # Of what state of its record it tells, by the sender: an instant, and the number of the change
    # for those of one instant. 0: of none, or not known.
    Column("as_of", BigInteger, nullable=False, server_default="0"),
    Column("change_id", BigInteger, nullable=False, server_default="0"),
    Index("events_of_record", "record", "site", "as_of", "change_id", "id"),
    Index("events_of_key", "key", "id"),
    Index("events_by_outcome", "outcome", "received"),
)

#: Verdicts that may yet change, or that something hangs on: deliver, duplicate, undecided, ...
verdicts = Table(
    "verdicts",
    metadata,
    Column("event", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("first", Text, nullable=False),
    Column("stage", Text, nullable=False, server_default=""),  # "": of a version that kept none
    PrimaryKeyConstraint("event", "destination", "route"),
)

#: Who carries an effect to a destination: the unique key makes a second telling a duplicate.
claims = Table(
    "claims",
    metadata,
    Column("destination", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("destination", "site", "identity"),
    Index("claims_by_age", "at"),
    sqlite_with_rowid=False,
)

#: Which event told of an effect through which hook.
sightings = Table(
    "sightings",
    metadata,
    Column("site", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("hook", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("site", "identity", "event"),
    Index("sightings_by_age", "at"),
    sqlite_with_rowid=False,
)

#: One row for each (destination, record): what is leased, retried and fenced.
lanes = Table(
    "lanes",
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("destination", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("next_at", BigInteger),  # NULL: nothing to do, or blocked
    Column("blocked", Boolean, nullable=False, server_default=text("false")),
    Column("lease_until", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text, nullable=False, server_default=""),  # by its name in `processes`
    # When the send is over at the latest, should nothing more be heard of the owner.
    Column("send_until", BigInteger, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    # How often in a row it failed, and when it began to; 0 and 0 once something came through.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failing_since", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("destination", "record"),
    Index(
        "lanes_ready",
        "destination",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL AND failures = 0"),
        postgresql_where=text("next_at IS NOT NULL AND failures = 0"),
    ),
    Index(
        "lanes_failing",
        "destination",
        "next_at",
        sqlite_where=text("failures > 0"),
        postgresql_where=text("failures > 0"),
    ),
    Index(
        "lanes_retrying",
        "destination",
        "owner",
        sqlite_where=text("failures > 0 AND lease_until > 0"),
        postgresql_where=text("failures > 0 AND lease_until > 0"),
    ),
)

#: Events on their way. Of one lane, the open one with the lowest place, then id, is the head.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("event", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("lane", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("effects", Text, nullable=False),  # JSON: the identities it carries
    Column("writes", Boolean, nullable=False),
    Column("hold_until", BigInteger),  # set while undecided: wait for a fuller telling till then
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),  # why parked: mapping | refused | …
    Column("revision", Text, nullable=False, server_default=""),  # of the mapping it was parked by
    # When it was received: what comes late, from a spool, goes where it belongs.
    Column("place", BigInteger, nullable=False, server_default="0"),
    # A newer telling of its record was accepted before it: it is made of the newest state.
    Column("late", Boolean, nullable=False, server_default=text("false")),
    Index("deliveries_of_event", "event"),
    Index("deliveries_by_state", "state", "destination"),
    Index(
        "deliveries_waiting",
        "event",
        sqlite_where=text("hold_until IS NOT NULL"),
        postgresql_where=text("hold_until IS NOT NULL"),
    ),
    Index(
        "deliveries_open",
        "lane",
        "place",
        "id",
        sqlite_where=text(OPEN_CONDITION),
        postgresql_where=text(OPEN_CONDITION),
    ),
    sqlite_autoincrement=True,
)

#: Every try at sending, with its answer.
attempts = Table(
    "attempts",
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("delivery", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("millis", Integer, nullable=False),
    Index("attempts_of_delivery", "delivery"),
    Index("attempts_by_age", "at"),
)

#: What all processes must agree on about a destination.
destinations = Table(
    "destinations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, server_default=""),
    Column("paused", Text, nullable=False, server_default=""),  # why; "" when it is not
    # The breaker: what each says is written at the fields of `core.breaker.Breaker`.
    Column("blocked_until", BigInteger, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failing_since", BigInteger, nullable=False, server_default="0"),
    Column("opened", BigInteger, nullable=False, server_default="0"),
    Column("closed", BigInteger, nullable=False, server_default="0"),
    Column("probes", Integer, nullable=False, server_default="0"),
    Column("probed", BigInteger, nullable=False, server_default="0"),
    Column("probe", BigInteger, nullable=False, server_default="0"),
    Column("newcomer_at", BigInteger, nullable=False, server_default="0"),
    Column("anyone_at", BigInteger, nullable=False, server_default="0"),
    Column("second", BigInteger, nullable=False, server_default="0"),  # GCRA: arrival in us
    Column("minute", BigInteger, nullable=False, server_default="0"),
    Column("renamed_to", Text, nullable=False, server_default=""),  # what it is called now, or ""
)

#: Processes that drain their spools: what was received from `oldest` on may not be here yet.
spools = Table(
    "spools",
    metadata,
    Column("process", Text, primary_key=True),
    Column("oldest", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

#: Processes that claim lanes; each holds a lock on a file, and on PostgreSQL the advisory `lock`.
processes = Table(
    "processes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("lock", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

#: Which installation the bodies of a hook named, and the site that the hook had then.
origins = Table(
    "origins",
    metadata,
    Column("hook", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("seen", BigInteger, nullable=False),  # once a day
    PrimaryKeyConstraint("hook", "origin"),
)

#: What the engine's clock is made of: one row, in ms.
clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("boot", Text, nullable=False, server_default=""),  # of a file: since when base holds
    Column("base", BigInteger, nullable=False, server_default="0"),  # to add to the other clock
    Column("kept", BigInteger, nullable=False, server_default="0"),  # what it said a while ago
    Column("changes", BigInteger, nullable=False, server_default="0"),  # how often base changed
)

#: Periodic jobs, so that one process at a time runs each.
jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)

#: What operators did, and who.
actions = Table(
    "actions",
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("delivery", BigInteger),
    Column("note", Text, nullable=False),
    Index("actions_of_event", "event"),
)
