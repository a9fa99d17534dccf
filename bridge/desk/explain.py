"""Explain what would become of a webhook body, stage by stage; nothing is kept or sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bridge import sources
from bridge.core import decide, unknown
from bridge.core.decide import Case
from bridge.core.mapping import outgoing, parts_left_out
from bridge.core.plan import Plan
from bridge.desk import instant
from bridge.errors import NotFound, Rejected, Unmappable
from bridge.model import Clause, Event, Hook, Request, Route, Verdict, VerdictName

#: The id of an event that never arrived.
NO_ID = "(not kept)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of one stage of the pipeline."""

    #: The stage's name in `core.decide`.
    stage: str
    #: "passed", "narrowed" when the stage removed some effects, or the verdict that it returned.
    outcome: str
    #: The reason of the verdict, or the effects that were removed.
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What would happen at one destination."""

    verdict: Verdict
    #: The verdict after the grace, without a full event or a snapshot; None: `verdict` is final.
    then: Verdict | None
    #: The body that would be sent; None when none would be.
    body: Mapping[str, Any] | None
    #: Why the body cannot be made, although it should be sent; "" when it can.
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What a route would do with an event."""

    route: str
    description: str
    when: str
    #: What the route does, in order, with events its filter cannot decide: `remember`, `deliver`, …
    unknown: tuple[str, ...]
    #: Whether the event would wait for a full event with the same effects first.
    waits: bool
    steps: tuple[Step, ...]
    #: The filter, clause by clause.
    clauses: tuple[Clause, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What would become of one event of a body."""

    hook: str
    #: None when the body would be rejected.
    event: Event | None
    #: Why it would be rejected; "" when it would not.
    rejected: str = ""
    courses: tuple[Course, ...] = ()


def hook_for(plan: Plan, name: str) -> Hook:
    """Find a hook, or for "" the first that Jira calls; raises `NotFound`."""
    hooks = plan.configuration.hooks
    if name:
        if name not in hooks:
            raise NotFound(f"there is no hook {name}; there are: {', '.join(hooks)}")
        return hooks[name]
    found = next((hook for hook in hooks.values() if hook.source == "jira"), None)
    if found is None:
        raise NotFound("no hook is called by Jira; name one with --hook")
    return found


def explain(plan: Plan, hook: Hook, body: bytes, now: int) -> tuple[Explanation, ...]:
    """Explain what every route of a hook would do with a body that arrived at `now`, in ms.

    The signature is not checked, and no snapshot of the record is used.
    """
    request = Request(
        id=NO_ID, hook=hook.name, site=hook.site, received=now, headers={}, query={}, body=body
    )
    try:
        events = tuple(sources.get(hook.source).read(request))
    except Rejected as error:
        return (Explanation(hook=hook.name, event=None, rejected=str(error)),)
    return tuple(
        Explanation(
            hook=hook.name,
            event=event,
            courses=tuple(_course(plan, event, r, now) for r in plan.by_hook.get(hook.name, ())),
        )
        for event in events
    )


def _course(plan: Plan, event: Event, route: Route, now: int) -> Course:
    judge = route.filters[event.site]
    alone = plan.alone(event.hook, route)
    last = {v.destination: v for v in unknown.resolve(alone, event, now, snapshot=None)}
    return Course(
        route=route.name,
        description=route.description,
        when=judge.text,
        unknown=route.unknown,
        waits=event.thin,
        steps=_steps(plan, event, route, now),
        clauses=tuple(judge.explain(event.body, now)),
        outcomes=tuple(
            _outcome(plan, event, route, verdict, last[verdict.destination])
            for verdict in alone.judge(event, now)
        ),
    )


def _steps(plan: Plan, event: Event, route: Route, now: int) -> tuple[Step, ...]:
    """Return what each stage did until one ended the walk."""
    case = decide.case_of(event, route, now=now, ignored=plan.configuration.ignored_actors)
    steps = []
    for stage, found in decide.walk(case):
        if isinstance(found, Verdict):
            steps.append(Step(stage=stage, outcome=found.name, why=found.reason))
        else:
            steps.append(_passed(stage, case, found))
            case = found
    return tuple(steps)


def _passed(name: str, before: Case, after: Case) -> Step:
    gone = [effect.identity for effect in before.effects if effect not in after.effects]
    if not gone:
        return Step(stage=name, outcome="passed")
    return Step(stage=name, outcome="narrowed", why=f"without {', '.join(gone)}")


def _outcome(plan: Plan, event: Event, route: Route, verdict: Verdict, last: Verdict) -> Outcome:
    then = last if verdict.name is VerdictName.UNDECIDED else None
    if last.name is not VerdictName.DELIVER:
        return Outcome(verdict=verdict, then=then, body=None)
    parts = [(effect.identity, effect.part) for effect in event.effects]
    try:
        body = outgoing(
            event.body,
            record=event.record,
            key=event.key,
            drop=parts_left_out(parts, last.identities),
            route=route,
            target=plan.configuration.targets[verdict.destination],
        )
    except Unmappable as error:
        return Outcome(verdict=verdict, then=then, body=None, error=str(error))
    return Outcome(verdict=verdict, then=then, body=body)


# As plain data


def as_dict(explained: Sequence[Explanation], *, body: bool = False) -> list[dict[str, Any]]:
    """Return explanations as plain data, with `body` also the bodies that would be sent."""
    return [
        {
            "hook": each.hook,
            "rejected": each.rejected,
            "event": None if each.event is None else _event_as_dict(each.event),
            "routes": [_course_as_dict(course, body=body) for course in each.courses],
        }
        for each in explained
    ]


def _event_as_dict(event: Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "source": event.source,
        "site": event.site,
        "time": instant(event.time),
        "record": event.record,
        "key": event.key,
        "actor": event.actor,
        "thin": event.thin,
        "moved": event.moved,
        "empty": event.empty,
        "effects": [asdict(effect) for effect in event.effects],
    }


def _course_as_dict(course: Course, *, body: bool) -> dict[str, Any]:
    return {
        "route": course.route,
        "description": course.description,
        "when": course.when,
        "unknown": list(course.unknown),
        "stages": [asdict(step) for step in course.steps],
        "filter": [asdict(clause) for clause in course.clauses],
        "destinations": [_outcome_as_dict(outcome, body=body) for outcome in course.outcomes],
    }


def _final(verdict: Verdict) -> dict[str, str]:
    return {"verdict": verdict.name.value, "stage": verdict.stage, "reason": verdict.reason}


def _outcome_as_dict(outcome: Outcome, *, body: bool) -> dict[str, Any]:
    verdict, then = outcome.verdict, outcome.then
    values = {
        "destination": verdict.destination,
        "verdict": verdict.name.value,
        "stage": verdict.stage,
        "reason": verdict.reason,
        "effects": list(verdict.identities),
        "then": None if then is None else _final(then),
        "trouble": outcome.error,
    }
    return values | {"body": outcome.body} if body else values
