"""Decide one event for one route: the stages in order, and one walk through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.core.jira_body import before_change
from bridge.core.snapshot import Snapshot
from bridge.model import Effect, Event, Route, Stage, Verdict, VerdictName


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One event before one route, on its way through the stages."""

    event: Event
    route: Route
    #: The instant that relative dates in filters count from, in ms since the epoch.
    now: int
    #: Lower-case handles whose changes are echoes.
    ignored: frozenset[str]
    #: The effects that no stage has taken out yet.
    effects: tuple[Effect, ...]
    #: The body that the filter reads: the event's own, or that completed from a snapshot.
    body: Mapping[str, Any]
    #: Where a completed body's other values come from, for the reason; "" for the event's own.
    source: str = ""


def case_of(
    event: Event,
    route: Route,
    *,
    now: int,
    ignored: frozenset[str] = frozenset(),
    snapshot: Snapshot | None = None,
) -> Case:
    """Return the case of an event before a route; a snapshot fills in what its body lacks."""
    return Case(
        event=event,
        route=route,
        now=now,
        ignored=ignored,
        effects=event.effects,
        body=event.body if snapshot is None else snapshot.complete(event.body),
        source="" if snapshot is None else snapshot.source,
    )


#: One stage: ends the walk with a verdict, or passes the case on, perhaps with fewer effects. Its
#: name is that of a `model.Stage`.
Step = Callable[[Case], Verdict | Case]


def _end(case: Case, stage: Stage, name: VerdictName, reason: str) -> Verdict:
    return Verdict(
        name=name,
        stage=stage,
        reason=reason,
        route=case.route.name,
        identities=tuple(effect.identity for effect in case.effects),
    )


def _keep(case: Case, effects: Iterable[Effect]) -> Case | None:
    """Return the case with these effects only; None without any."""
    left = tuple(effects)
    if len(left) == len(case.effects):
        return case
    return replace(case, effects=left) if left else None


def says_something(case: Case) -> Verdict | Case:
    """End an event without effects: it has nothing to deliver."""
    if case.effects:
        return case
    reason = case.event.empty or "the event reports no change"
    return _end(case, Stage.SAYS_SOMETHING, VerdictName.FILTERED, reason)


def about_a_record(case: Case) -> Verdict | Case:
    """End an event about no record, unless the route's `events` names it."""
    if case.event.record or case.route.events:
        return case
    reason = f"{case.event.name} is not about a record"
    return _end(case, Stage.ABOUT_A_RECORD, VerdictName.FILTERED, reason)


def asked_for(case: Case) -> Verdict | Case:
    """Keep the effects that the route's `events` names."""
    wanted = case.route.events
    if not wanted:
        return case
    names = ", ".join(sorted({effect.event for effect in case.effects}))
    kept = [effect for effect in case.effects if effect.event in wanted]
    reason = f"{names} is not among the route's events"
    return _keep(case, kept) or _end(case, Stage.ASKED_FOR, VerdictName.FILTERED, reason)


def not_an_echo(case: Case) -> Verdict | Case:
    """End a change that Aha! itself wrote into the source: it does not go back."""
    own = case.event.handles & case.ignored
    if own:
        reason = f"the actor {min(own)} is one of ignore.actors"
        return _end(case, Stage.NOT_AN_ECHO, VerdictName.ECHO, reason)
    kept = [effect for effect in case.effects if not effect.echo]
    reason = next((effect.echo for effect in case.effects if effect.echo), "")
    return _keep(case, kept) or _end(case, Stage.NOT_AN_ECHO, VerdictName.ECHO, reason)


def open_to_all(case: Case) -> Verdict | Case:
    """Take out private comments, unless the route has `private: keep`."""
    if case.route.comments.private == "keep":
        return case
    kept = [effect for effect in case.effects if not effect.private]
    reason = "the comment is private (comments.private: drop)"
    return _keep(case, kept) or _end(case, Stage.OPEN_TO_ALL, VerdictName.FILTERED, reason)


def passes_filter(case: Case) -> Verdict | Case:
    """Match the route's `when`; an unknown answer is undecided, and a move out may be followed."""
    judge = case.route.filters.get(case.event.site)
    if judge is None:  # the hook belonged to another site when the event arrived
        reason = f"unknown: {case.route.name} is not for the site {case.event.site} any more"
        return _end(case, Stage.PASSES_FILTER, VerdictName.UNDECIDED, reason)
    answer = judge.match(case.body, case.now)
    why = answer.why + case.source
    if answer.value is None:
        return _end(case, Stage.PASSES_FILTER, VerdictName.UNDECIDED, f"unknown: {why}")
    if answer.value:
        return _end(case, Stage.PASSES_FILTER, VerdictName.DELIVER, why)
    if case.event.moved and case.route.moves == "follow":
        before = judge.match(before_change(case.body), case.now)
        if before.value is not False:
            reason = f"moves: follow; it was inside before ({why})"
            return _end(case, Stage.PASSES_FILTER, VerdictName.DELIVER, reason)
    return _end(case, Stage.PASSES_FILTER, VerdictName.FILTERED, why)


#: The stages before the filter, which also hold for an event that an operator replays.
BEFORE_FILTER: tuple[Step, ...] = (
    says_something,
    about_a_record,
    asked_for,
    not_an_echo,
    open_to_all,
)
#: The pipeline: every stage of a route, in order. The last one always ends the walk.
STAGES: tuple[Step, ...] = (*BEFORE_FILTER, passes_filter)


def walk(case: Case, stages: Iterable[Step] = STAGES) -> Iterator[tuple[str, Verdict | Case]]:
    """Put a case through stages: yield each stage's name, and its verdict or the case it passed on.

    The walk ends with the first verdict.
    """
    for stage in stages:
        found = stage(case)
        yield stage.__name__, found
        if isinstance(found, Verdict):
            return
        case = found


def decide(case: Case) -> Verdict:
    """Return the verdict of the stage that ends the walk.

    `deliver` and `undecided` name the effects that would be carried.
    """
    *_, (_, found) = walk(case)
    assert isinstance(found, Verdict)  # noqa: S101 - the last stage always ends the walk
    return found
