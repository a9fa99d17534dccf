"""Decide an undecided event for good: by a snapshot of its record, then by each route's last word.

The last word is the end of a route's `unknown` list: `deliver` or `drop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bridge.core.jira_body import projects_of
from bridge.core.plan import Plan
from bridge.core.snapshot import Snapshot
from bridge.model import Event, Route, Stage, Verdict, VerdictName


def wants_snapshot(verdicts: Sequence[Verdict], event: Event) -> bool:
    """Whether the verdicts depend on a snapshot, and no complete event is expected."""
    return not event.thin and any(v.name is VerdictName.UNDECIDED for v in verdicts)


def resolve(
    plan: Plan, event: Event, now: int, *, snapshot: Snapshot | None
) -> tuple[Verdict, ...]:
    """Decide an event by a snapshot of its record and by each route's last word.

    No verdict of the answer is `undecided`: the event counts as no longer thin, as no complete
    one arrived.
    """
    settled = replace(event, thin=False)
    bare = plan.judge(settled, now)
    full = plan.judge(settled, now, snapshot) if snapshot is not None else ()
    by_snapshot = {(v.route, v.destination): v for v in full}
    verdicts: list[Verdict] = []
    for verdict in bare:
        if verdict.name is not VerdictName.UNDECIDED:
            verdicts.append(verdict)
            continue
        route = plan.configuration.routes[verdict.route]
        known = by_snapshot.get((verdict.route, verdict.destination))
        if known is None and snapshot is not None and _may_use(route, snapshot):
            known = replace(
                verdict,
                name=VerdictName.FILTERED,
                reason=_other_project(snapshot),
                stage=Stage.ROUTED,
            )
        verdicts.append(_last_word(verdict, route, known, snapshot))
    return tuple(verdicts)


def _may_use(route: Route, snapshot: Snapshot) -> bool:
    return snapshot.counterpart or "remember" in route.unknown


def _other_project(snapshot: Snapshot) -> str:
    found = ", ".join(sorted(projects_of(snapshot.body).names))
    return f"the record is in {found}{snapshot.source}"


def _last_word(
    verdict: Verdict, route: Route, known: Verdict | None, snapshot: Snapshot | None
) -> Verdict:
    """Return the snapshot's verdict where the route allows it and it is decided; else the route's.

    `known` is the verdict by the snapshot; None without one.
    """
    if known is not None and snapshot is not None and _may_use(route, snapshot):
        if known.name is not VerdictName.UNDECIDED:
            return known
        verdict = known
    tried = "" if snapshot is not None else _no_snapshot(route)
    undecided = replace(verdict, stage=Stage.UNKNOWN)
    if "drop" in route.unknown:
        reason = f"{verdict.reason}{tried}; unknown: drop"
        return replace(undecided, name=VerdictName.FILTERED, reason=reason, identities=())
    reason = f"{verdict.reason}{tried}; unknown: deliver"
    return replace(undecided, name=VerdictName.DELIVER, reason=reason)


def _no_snapshot(route: Route) -> str:
    return "; nothing is remembered of the record" if "remember" in route.unknown else ""
