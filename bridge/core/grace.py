"""The verdict on a thin event after its grace, for one destination where it waits."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from bridge.model import Stage, Verdict, VerdictName


def verdict_after_grace(
    verdicts: Iterable[Verdict], destination: str, identities: Collection[str]
) -> Verdict:
    """Pick the verdict for a destination among those that an event came to.

    `identities` are the effects that the waiting delivery still carries. A verdict to deliver at
    least one of them goes first, then any other verdict for this destination, then one for all
    destinations. Without any of these, the event is filtered.
    """
    here = [v for v in verdicts if v.destination in (destination, "")]
    for verdict in here:
        carried = tuple(name for name in verdict.identities if name in identities)
        if verdict.name is VerdictName.DELIVER and carried:
            return replace(verdict, identities=carried, destination=destination)
    others = [v for v in here if v.name is not VerdictName.DELIVER]
    others.sort(key=lambda verdict: not verdict.destination)
    if not others:
        reason = "no route sends it here any more"
        return filtered(reason, destination, Stage.ROUTED)
    carried = tuple(name for name in others[0].identities if name in identities)
    return replace(others[0], identities=carried, destination=destination)


def filtered(reason: str, destination: str, stage: Stage) -> Verdict:
    """Return the verdict that an event is not sent to a destination."""
    return Verdict(name=VerdictName.FILTERED, reason=reason, destination=destination, stage=stage)
