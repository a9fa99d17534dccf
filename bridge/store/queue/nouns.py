"""The nouns of the queue: a request for a lane, a leased delivery, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from bridge.model import Effect, Limits, State
from bridge.store.queue.newest import Newest

#: A send begins at most so long after its lane was leased, in ms, or not at all.
START_WITHIN_MS = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseRequest:
    """A worker's request for a free lane of a destination."""

    destination: str
    #: The process that asks, by its name in the table `processes`.
    owner: str
    #: How long the lane is leased at most.
    lease_ms: int
    limits: Limits
    #: How many lanes that have failed the process may lease at a time: a record whose sends take
    #: long and fail must not occupy every worker.
    most_failing: int = 8
    #: How long the longest send takes, less than the lease; None: not known.
    longest_send_ms: int | None = None

    #: How soon after the lease began the send must begin.
    start_within_ms: int = field(init=False)

    def __post_init__(self) -> None:
        longest_ms, start_ms = self.longest_send_ms, self.lease_ms
        if longest_ms is not None:
            start_ms = min(START_WITHIN_MS, start_ms - longest_ms)
        object.__setattr__(self, "start_within_ms", start_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leased:
    """A leased lane and its head, the delivery to be sent. Instants are in ms since the epoch."""

    lane: int
    fence: int
    delivery: int
    destination: str
    #: The route whose fields apply; "" while several may.
    route: str
    event: str
    hook: str
    source: str
    site: str
    received: int
    record: str
    key: str
    #: The identities of the effects that the delivery carries.
    identities: tuple[str, ...]
    #: All effects of the event.
    effects: tuple[Effect, ...]
    writes: bool
    #: How often it was tried before this time.
    attempts: int
    #: How often the lane has failed since one of its deliveries last came through, and since when;
    #: 0 and 0: it has not.
    failures: int
    failing_since: int
    failing_for_ms: int
    #: The lane fails while other lanes of the destination come through.
    alone: bool
    #: It was being sent when its sender vanished: it may have been written.
    in_doubt: bool
    #: It is a thin event whose grace is over: its verdict is due now.
    waiting: bool
    #: The body as kept; None when retention took it.
    packed: bytes | None
    #: Until when its send may begin, in ms on the clock of `clocks.steady`.
    start_by: float = inf
    #: Newer events of its record were accepted before it: it is made from the newest state.
    late: bool = False
    #: That state, for a late delivery whose verdict is final: a transaction of its own to find it
    #: would cost more than all else that a delivery needs of the database.
    newest: Newest | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What became of a leased delivery."""

    lane: int
    fence: int
    delivery: int
    destination: str
    state: State
    #: When to try again, for `RETRYING`.
    delay_ms: int = 0
    #: One word for the decision log: delivered, refused, timeout, ...; "" when nothing was tried.
    outcome: str = ""
    status: int = 0
    answer: str = ""
    duration_ms: int = 0
    #: Why it is parked, and by which revision of the mapping.
    cause: str = ""
    revision: str = ""
    #: Why the destination is paused; "": it is not.
    pause_reason: str = ""
    #: How long the destination asked to be left alone.
    block_ms: int = 0
    #: The destination was not reached at all, or it failed.
    failed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One call of a worker: a settlement to be written, a request for the next lane, or both."""

    settlement: Settlement | None
    request: LeaseRequest | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Next:
    """The answer to a worker: its next delivery, or how long to wait for one."""

    leased: Leased | None
    #: When a lane is next due; None: no lane has anything to do.
    wait_ms: int | None = None
    #: The settlement counted; False when the lane had been leased again since.
    settled: bool = True
