"""The breaker of a destination: whether the destination works, and which lanes may find out.

A record that fails alone is no sign that the destination does. So the breaker counts lanes that
fail for the first time, begins again whenever a delivery comes through, and opens when several
lanes in a row did nothing but fail. While it is open, single deliveries go out as probes. The
first delivery that comes through closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from bridge.core.retry import Policy, grow

#: Of so many probes, one is the lane that has waited longest, and the others are the newest.
_OLDEST_EVERY = 4


class Allowed(Enum):
    """Which lanes of a destination may be sent now."""

    ALL = "all"
    #: One lane, as a probe.
    ONE = "one"
    #: One lane as a probe, if it has never failed and became ready after the last probe was sent.
    NEWCOMER = "newcomer"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """The breaker of a destination. Instants are in ms since the epoch, and 0 is never."""

    #: Nothing is sent before: the destination asked for it. Nothing else ends this pause.
    blocked_until: int = 0
    #: Lanes that failed for the first time since a delivery last came through.
    failures: int = 0
    #: When the first of them failed; 0: the last settled delivery came through.
    failing_since: int = 0
    #: When the breaker opened; 0: it is closed.
    opened: int = 0
    #: When the breaker last closed.
    closed: int = 0
    #: Probes sent since it opened.
    probes: int = 0
    #: When the last probe was sent or, before the first, when the breaker opened.
    probed: int = 0
    #: The lane of the last probe; 0: none, or it sent nothing after all.
    probe: int = 0
    #: From then on a newcomer may be the next probe.
    newcomer_at: int = 0
    #: From then on any lane may be the next probe.
    anyone_at: int = 0

    @property
    def uneasy(self) -> bool:
        """Whether a delivery that comes through changes the breaker."""
        return bool(self.failing_since or self.opened)


@dataclass(frozen=True, kw_only=True, slots=True)
class SendResult:
    """What became of one send."""

    lane: int
    #: The destination took the body, or refused it for good: it works.
    through: bool = False
    #: Nothing reached the destination, or it failed, or it never answered.
    failed: bool = False
    #: The lane had not failed before.
    first: bool = False
    #: How long the destination asks to be left alone.
    pause_ms: int = 0


def allow(state: Breaker, now: int, policy: Policy) -> Allowed:
    """Return which lanes may be sent now."""
    if _is_ahead(state.blocked_until, now, policy.longest_pause_ms + policy.first_wait_ms):
        return Allowed.NONE
    if not state.opened:
        return Allowed.ALL
    if not _is_ahead(state.anyone_at, now, policy.longest_break_ms):
        return Allowed.ONE
    if not _is_ahead(state.newcomer_at, now, policy.longest_break_ms):
        return Allowed.NEWCOMER
    return Allowed.NONE


def _is_ahead(instant: int, now: int, longest_ms: int) -> bool:
    """Whether an instant is still to come; one too far off was set before a clock was put back.

    No pause is longer than `longest_ms`.
    """
    return now < instant <= now + longest_ms


def next_instant(state: Breaker, now: int) -> int:
    """Return when the breaker next allows more than now, in ms since the epoch; 0: it will not.

    With an open breaker that is the next probe of any lane: the lane of a newcomer is looked at
    when it comes.
    """
    at = max(state.blocked_until, state.anyone_at if state.opened else 0)
    return at if at > now else 0


def oldest_first(state: Breaker) -> bool:
    """Whether the next probe is the lane that has waited longest, and not the newest.

    Of many lanes that wait, those that came along with the ones that failed are likely to fail as
    well. Every fourth probe tries one of them all the same.
    """
    return state.probes % _OLDEST_EVERY == _OLDEST_EVERY - 1


def send_probe(state: Breaker, lane: int, *, newcomer: bool, now: int, policy: Policy) -> Breaker:
    """Send a lane as a probe, and set when the next may follow: later after each one.

    A lane that had waited or failed before is a weaker sign than one that comes anew. Because of
    it, the next newcomer does not have to wait for longer than the first break.
    """
    probes = state.probes + 1
    pause_ms = _break_ms(policy, probes)
    return replace(
        state,
        probes=probes,
        probed=now,
        probe=lane,
        anyone_at=now + pause_ms,
        newcomer_at=now + (pause_ms if newcomer else _break_ms(policy, 0)),
    )


def _break_ms(policy: Policy, probes: int) -> int:
    """Return how long nothing is sent after so many probes."""
    return grow(policy.first_break_ms, policy.factor, probes, policy.longest_break_ms)


def spare(state: Breaker, lane: int, now: int) -> Breaker:
    """Let another lane be the probe at once, if this lane was and sent nothing after all."""
    if not state.opened or state.probe != lane:
        return state
    return replace(state, probes=max(state.probes - 1, 0), probe=0, anyone_at=now, newcomer_at=now)


def count(state: Breaker, sends: Sequence[SendResult], now: int, policy: Policy) -> Breaker:
    """Count the results of sends that were settled in one transaction."""
    pause_ms = max((send.pause_ms for send in sends), default=0)
    if pause_ms:
        state = replace(state, blocked_until=max(state.blocked_until, now + pause_ms))
    if any(send.through for send in sends):
        return _close(state, now)
    if state.opened:
        for send in sends:
            if not send.failed:
                state = spare(state, send.lane, now)
        return state
    return _add_failures(state, sum(send.failed and send.first for send in sends), now, policy)


def _close(state: Breaker, now: int) -> Breaker:
    return Breaker(blocked_until=state.blocked_until, closed=now if state.opened else state.closed)


def _add_failures(state: Breaker, failures: int, now: int, policy: Policy) -> Breaker:
    if not failures:
        return state
    total = state.failures + failures
    state = replace(state, failures=total, failing_since=state.failing_since or now)
    if not policy.breaks_after or total < _failures_to_open(state, now, policy):
        return state
    pause_ms = _break_ms(policy, 0)
    return replace(
        state,
        opened=now,
        probed=now,
        probes=0,
        probe=0,
        anyone_at=now + pause_ms,
        newcomer_at=now + min(pause_ms, policy.newcomer_break_ms),
    )


def _failures_to_open(state: Breaker, now: int, policy: Policy) -> int:
    """Return how many lanes have to fail: more of them just after the breaker closed.

    All that waited goes out then, and there may be many records among it that fail alone.
    """
    just_closed = bool(state.closed) and state.closed <= now < state.closed + policy.wary_ms
    return policy.breaks_again_after if just_closed else policy.breaks_after


def retry_since(before: Breaker, after: Breaker, now: int, policy: Policy) -> int:
    """Return since when lanes failed only because the destination did, in ms since the epoch.

    They are tried at once when a delivery comes through. A lane that began to fail before then
    failed while other lanes came through, and keeps its own pace. 0: no lane is tried early.
    """
    over = before.failing_since and not after.failing_since
    long = before.opened or now - before.failing_since >= policy.first_break_ms
    return before.failing_since if over and long else 0


def fails_alone(state: Breaker, failing_since: int) -> bool:
    """Whether a lane that has failed since then does so while other lanes come through."""
    return bool(failing_since) and not state.uneasy
