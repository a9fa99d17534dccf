"""The breaker of a destination: whether it works, and who may be sent to find out.

A record that fails alone says nothing about the destination. So the breaker counts lanes that fail
for the first time, begins again whenever something comes through, and opens when several lanes in
a row did nothing but fail. While it is open, single deliveries go out as probes. What comes through
closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from bridge.core.retry import Policy, grown


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
    """What is known of a destination. Instants are in ms since the epoch, and 0 is never."""

    #: Nothing is sent before: the destination asked for it. Nothing else ends this pause.
    blocked_until: int = 0
    #: Lanes that failed for the first time since something last came through.
    failures: int = 0
    #: When the first of them failed; 0: what was settled last came through.
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
        """Whether something that comes through changes anything."""
        return bool(self.failing_since or self.opened)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What became of one send."""

    lane: int
    #: The destination took the body, or refused it for good: it works.
    through: bool = False
    #: Nothing reached the destination, or it failed, or it never answered.
    failed: bool = False
    #: The lane had not failed before.
    first: bool = False
    #: The destination asks to be left alone for so long, in ms.
    pause: int = 0


def allowed(state: Breaker, now: int, policy: Policy) -> Allowed:
    """Tell which lanes may be sent now."""
    if _ahead(state.blocked_until, now, policy.longest_pause + policy.first):
        return Allowed.NONE
    if not state.opened:
        return Allowed.ALL
    if not _ahead(state.anyone_at, now, policy.longest_break):
        return Allowed.ONE
    if not _ahead(state.newcomer_at, now, policy.longest_break):
        return Allowed.NEWCOMER
    return Allowed.NONE


def _ahead(instant: int, now: int, longest: int) -> bool:
    """Tell whether an instant is still to come; one too far off was set by a clock put back since.

    No pause is longer than `longest`, in ms.
    """
    return now < instant <= now + longest


def next_instant(state: Breaker, now: int) -> int:
    """Tell when anything may be sent that may not be sent now, in ms since the epoch; 0: nothing.

    With an open breaker that is the next probe of any lane: a newcomer asks when it comes.
    """
    at = max(state.blocked_until, state.anyone_at if state.opened else 0)
    return at if at > now else 0


def oldest_first(state: Breaker) -> bool:
    """Tell whether the next probe is the lane that has waited longest, and not the newest.

    Of many lanes that wait, those that came along with the ones that failed are likely to fail as
    well. Every fourth probe tries one of them all the same.
    """
    return state.probes % 4 == 3


def probing(state: Breaker, lane: int, *, newcomer: bool, now: int, policy: Policy) -> Breaker:
    """Send a lane as a probe, and set when the next may follow: later after each one.

    A lane that had waited or failed before says less about the destination than one that comes
    anew. The next newcomer does not have to wait for longer than the first break because of it.
    """
    probes = state.probes + 1
    pause = _pause(policy, probes)
    return replace(
        state,
        probes=probes,
        probed=now,
        probe=lane,
        anyone_at=now + pause,
        newcomer_at=now + (pause if newcomer else _pause(policy, 0)),
    )


def _pause(policy: Policy, probes: int) -> int:
    """Tell how long nothing is sent after so many probes, in ms."""
    return grown(policy.first_break, policy.factor, probes, policy.longest_break)


def spared(state: Breaker, lane: int, now: int) -> Breaker:
    """Let another lane be the probe at once, if this one was it and sent nothing after all."""
    if not state.opened or state.probe != lane:
        return state
    return replace(state, probes=max(state.probes - 1, 0), probe=0, anyone_at=now, newcomer_at=now)


def settled(state: Breaker, sends: Sequence[Settled], now: int, policy: Policy) -> Breaker:
    """Count what became of sends that were settled together."""
    pause = max((send.pause for send in sends), default=0)
    if pause:
        state = replace(state, blocked_until=max(state.blocked_until, now + pause))
    if any(send.through for send in sends):
        return _closed(state, now)
    if state.opened:
        for send in sends:
            if not send.failed:
                state = spared(state, send.lane, now)
        return state
    return _counted(state, sum(send.failed and send.first for send in sends), now, policy)


def _closed(state: Breaker, now: int) -> Breaker:
    return Breaker(blocked_until=state.blocked_until, closed=now if state.opened else state.closed)


def _counted(state: Breaker, failures: int, now: int, policy: Policy) -> Breaker:
    if not failures:
        return state
    total = state.failures + failures
    state = replace(state, failures=total, failing_since=state.failing_since or now)
    if not policy.breaks_after or total < _needed(state, now, policy):
        return state
    pause = _pause(policy, 0)
    return replace(
        state,
        opened=now,
        probed=now,
        probes=0,
        probe=0,
        anyone_at=now + pause,
        newcomer_at=now + min(pause, policy.first_look),
    )


def _needed(state: Breaker, now: int, policy: Policy) -> int:
    """Tell how many lanes have to fail: more after the breaker closed, when all that waited goes.

    There may be many records among them that fail alone.
    """
    just_closed = bool(state.closed) and state.closed <= now < state.closed + policy.wary
    return policy.breaks_again_after if just_closed else policy.breaks_after


def released(before: Breaker, after: Breaker, now: int, policy: Policy) -> int:
    """Tell from when on lanes failed only because the destination did; 0: let none go on early.

    They go on at once when something comes through. What failed before then failed while other
    lanes came through, and keeps its own pace.
    """
    over = before.failing_since and not after.failing_since
    long = before.opened or now - before.failing_since >= policy.first_break
    return before.failing_since if over and long else 0


def alone(state: Breaker, failing_since: int) -> bool:
    """Tell whether a lane that has failed since then does so while other lanes come through."""
    return bool(failing_since) and not state.uneasy
