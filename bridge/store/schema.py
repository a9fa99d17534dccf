"""The schema, one for both databases.

Instants are in ms since the epoch. Those by which lanes, leases and limits go are read from the
engine's clock (`clocks`); those that people read, and by which rows expire, from the host's.
"""

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

#: A 64-bit key that both databases generate.
_Counted = BigInteger().with_variant(Integer, "sqlite")

#: The states of a delivery that stays in its lane: the partial index below contains these.
OPEN = (State.QUEUED, State.SENDING, State.RETRYING, State.IN_DOUBT, State.PARKED)
#: The states in which a delivery blocks its lane until an operator decides.
BLOCKED = (State.PARKED, State.IN_DOUBT)
#: The states of a delivery that has left its lane.
OVER = (State.DELIVERED, State.DISCARDED)
#: `OPEN` as literal SQL: a planner uses the partial index only for a query with the same text.
OPEN_CONDITION = f"state IN ({','.join(repr(state.value) for state in OPEN)})"

#: Every event that arrived, with all that explains what became of it.
events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),  # ids sort by time of arrival
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
    Column("outcome", Text, nullable=False),  # its strongest verdict
    # JSON: [[identity, word, part, writes], ...], some with [..., of, version, sets]
    Column("effects", Text, nullable=False),
    Column("verdicts", Text, nullable=False),  # JSON: final verdicts
    Column("body", LargeBinary),  # zlib; NULL when expired, or never kept
    # The state of the record that the body describes, by the sender's clock: an instant, and the
    # number of the change among those of one instant. 0: it describes none, or it is not known.
    Column("as_of", BigInteger, nullable=False, server_default="0"),
    Column("change_id", BigInteger, nullable=False, server_default="0"),
    Index("events_of_record", "record", "site", "as_of", "change_id", "id"),
    Index("events_of_key", "key", "id"),
    Index("events_by_outcome", "outcome", "received"),
)

#: Verdicts that may still change, or that other rows refer to: deliver, duplicate, undecided, …
verdicts = Table(
    "verdicts",
    metadata,
    Column("event", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("first", Text, nullable=False),
    Column(
        "stage", Text, nullable=False, server_default=""
    ),  # "": written by a version without stages
    PrimaryKeyConstraint("event", "destination", "route"),
)

#: Idempotency records: which event carries an effect to a destination. The unique key makes any
#: other event with the effect a duplicate.
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

#: Which events reported an effect, and through which hook each arrived.
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

#: One row for each (destination, record). Lanes are leased, retried and fenced.
lanes = Table(
    "lanes",
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("destination", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("next_at", BigInteger),  # NULL: empty, or blocked
    Column("blocked", Boolean, nullable=False, server_default=text("false")),
    Column("lease_until", BigInteger, nullable=False, server_default="0"),
    Column(
        "owner", Text, nullable=False, server_default=""
    ),  # the name of a process in `processes`
    # When the longest possible send ends, in case the owner dies.
    Column("send_until", BigInteger, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    # Failures in a row, and the instant of the first; 0 and 0 after a success.
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

#: Deliveries of events to destinations. The head of a lane is its open delivery with the lowest
#: place, and of these the one with the lowest id.
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
    Column("hold_until", BigInteger),  # of a thin event: the end of its grace
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),  # why parked: mapping | refused | …
    Column("revision", Text, nullable=False, server_default=""),  # the mapping's, when parked
    # When the event was received, by which a late event from a spool finds its place in the lane.
    Column("place", BigInteger, nullable=False, server_default="0"),
    # Whether a newer event of its record was accepted before it: its body is made of the newest
    # state.
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

#: Every attempt to send a delivery, with the answer.
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

#: The state of a destination that all processes share.
destinations = Table(
    "destinations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, server_default=""),
    Column("paused", Text, nullable=False, server_default=""),  # the reason; "": not paused
    # The breaker: `core.breaker.Breaker` describes each column.
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
    Column(
        "second", BigInteger, nullable=False, server_default="0"
    ),  # GCRA: theoretical arrival time, in us
    Column("minute", BigInteger, nullable=False, server_default="0"),
    Column("renamed_to", Text, nullable=False, server_default=""),  # its new name, or ""
)

#: Processes that drain their spools. Requests received from `oldest` on may still be in a spool.
spools = Table(
    "spools",
    metadata,
    Column("process", Text, primary_key=True),
    Column("oldest", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

#: Processes that lease lanes. Each holds a lock on a file, and on PostgreSQL the advisory `lock`.
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
    Column("seen", BigInteger, nullable=False),  # updated once a day
    PrimaryKeyConstraint("hook", "origin"),
)

#: The engine's clock: one row, in ms.
clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column(
        "boot", Text, nullable=False, server_default=""
    ),  # of a file: the boot for which base holds
    Column(
        "base", BigInteger, nullable=False, server_default="0"
    ),  # added to the clock of the host or server
    Column(
        "kept", BigInteger, nullable=False, server_default="0"
    ),  # a recent reading of the engine's clock
    Column("changes", BigInteger, nullable=False, server_default="0"),  # how often base was changed
)

#: The locks of periodic jobs, so that one process at a time runs each.
jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)

#: What operators did, each with the operator's name.
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
