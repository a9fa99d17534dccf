"""When a delivery is tried again, and when it is given to a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.errors import DeliveryError, Failed, Gone, InDoubt, NotSent, Throttled


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How patiently a destination is tried; all times in ms."""

    #: The longest wait after the first failure of a lane.
    first: int = 5_000
    #: How much longer the longest wait grows with each further failure.
    factor: float = 2.0
    #: What no wait of a lane exceeds that fails alone, while others come through.
    cap: int = 5 * 60_000
    #: What no wait falls below, whatever the dice say.
    least: int = 1_000
    #: What no pause that a destination asks for exceeds.
    longest_pause: int = 60 * 60_000
    #: A lane that has failed alone for so long is parked. What cannot have reached the destination
    #: is no fault of the delivery, and is tried for ever.
    park_after: int = 6 * 60 * 60_000
    #: So many lanes that fail for the first time, and none that comes through between them, open
    #: the destination's breaker; 0: never.
    breaks_after: int = 5
    #: So many open it again while it is wary: all that had waited goes out then.
    breaks_again_after: int = 20
    #: How long it is wary after it closed.
    wary: int = 10 * 60_000
    #: The breaker's first pause, and the one it does not exceed.
    first_break: int = 10_000
    longest_break: int = 60_000
    #: The first pause for lanes that become ready after the breaker opened: poison that came all at
    #: once and opened it must not hold up for long what comes next.
    first_look: int = 3_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Streak:
    """How a lane has failed since something of it last came through, this failure included."""

    failures: int = 1
    #: Since the first of them, in ms.
    lasted: int = 0
    #: Other lanes of the destination came through meanwhile.
    alone: bool = False


def next_attempt(
    policy: Policy, streak: Streak, error: DeliveryError, now: int, jitter: float
) -> int | None:
    """Tell when a delivery is tried again, in ms since the epoch; None: never, park it.

    `jitter` in [0, 1) spreads what failed together. A refusal is final. A destination that is gone
    is looked at again each `cap`, for as long as it takes. A lane that does not fail alone waits no
    longer than the breaker does: it is the destination that has to come back. Whether a delivery in
    doubt may be sent again is decided before asking here.
    """
    match error:
        case Throttled(after=float() | int() as after):
            return now + _paused(policy, after, jitter)
        case Gone():
            return now + policy.cap
        case NotSent() | Throttled():
            return now + _backed_off(policy, streak, jitter)
        case Failed() | InDoubt():
            if not streak.alone or streak.lasted < policy.park_after:
                return now + _backed_off(policy, streak, jitter)
    return None


def why_parked(attempts: int, since: int, answer: str) -> str:
    """Say why what kept failing alone is parked; `since` is in ms since the epoch."""
    when = datetime.fromtimestamp(since / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"failed since {when}, while other records came through; {attempts} attempts in all, "
        f"the last: {answer}"
    )


def _paused(policy: Policy, after: float, jitter: float) -> int:
    pause = min(max(round(after * 1_000), 0), policy.longest_pause)
    # Spread on the far side only: not a moment earlier than asked for.
    return pause + round(jitter * policy.first)


def _backed_off(policy: Policy, streak: Streak, jitter: float) -> int:
    cap = policy.cap if streak.alone else min(policy.cap, policy.longest_break)
    ceiling = grown(policy.first, policy.factor, streak.failures - 1, cap)
    return max(round(jitter * ceiling), min(policy.least, ceiling))


def grown(first: int, factor: float, steps: int, limit: int) -> int:
    """Grow by a factor a step, up to a limit, however many steps."""
    try:
        return min(round(first * factor ** max(steps, 0)), limit)
    except OverflowError:
        return limit
