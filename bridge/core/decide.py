"""What becomes of an event: the stages every route puts it through, and what to do when unsure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bridge.core.changelog import changes, field_of
from bridge.model import (
    Configuration,
    Effect,
    Event,
    Route,
    Target,
    Verdict,
    VerdictName,
)

#: Fields of which a changelog tells the old value as a filter looks at it.
_REVERTED = frozenset({"issuetype", "status", "resolution", "priority"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """A full body of the record, kept from another event."""

    #: The event it came with.
    event: str
    #: When that arrived, for people to read.
    when: str
    body: Mapping[str, Any]
    #: It tells the very change in question, only more fully, and is not an older state.
    twin: bool = False
    #: Of which state of the record it tells: `Event.as_of` and `change_id`.
    state: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One event before one route, on its way through the stages."""

    event: Event
    route: Route
    #: In ms since the epoch.
    now: int
    ignored: frozenset[str]
    #: What is left of the event's effects.
    effects: tuple[Effect, ...]
    #: What the filter looks at: the event's body, or that with the record filled in from memory.
    body: Mapping[str, Any]
    #: Where a filled-in record came from; "" when the body speaks for itself.
    source: str = ""


#: A stage ends the matter with a verdict, or passes the case on, perhaps with fewer effects.
Stage = Callable[[Case], Verdict | Case]


def _end(case: Case, name: VerdictName, reason: str) -> Verdict:
    return Verdict(
        name=name,
        reason=reason,
        route=case.route.name,
        effects=tuple(effect.identity for effect in case.effects),
    )


def _keep(case: Case, effects: Iterable[Effect], name: VerdictName, reason: str) -> Verdict | Case:
    """Go on with some effects, or end with `name` when none is left."""
    left = tuple(effects)
    if left:
        return case if len(left) == len(case.effects) else replace(case, effects=left)
    return _end(case, name, reason)


def says_something(case: Case) -> Verdict | Case:
    """End an event without effects: it has nothing to deliver."""
    if case.effects:
        return case
    reason = case.event.empty or "the event tells no change"
    return _end(case, VerdictName.FILTERED, reason)


def about_a_record(case: Case) -> Verdict | Case:
    """End events about no record, unless the route's `events` asks for them."""
    if case.event.record or case.route.events:
        return case
    return _end(case, VerdictName.FILTERED, f"{case.event.name} is not about a record")


def asked_for(case: Case) -> Verdict | Case:
    """Keep the effects that the route's `events` names."""
    wanted = case.route.events
    if not wanted:
        return case
    told = ", ".join(sorted({effect.event for effect in case.effects}))
    kept = [effect for effect in case.effects if effect.event in wanted]
    return _keep(case, kept, VerdictName.FILTERED, f"{told} is not among the route's events")


def not_an_echo(case: Case) -> Verdict | Case:
    """End what Aha! itself wrote into the source: it does not go back."""
    own = case.event.handles & case.ignored
    if own:
        return _end(case, VerdictName.ECHO, f"the actor {min(own)} is one of ignore.actors")
    kept = [effect for effect in case.effects if not effect.echo]
    reason = next((effect.echo for effect in case.effects if effect.echo), "")
    return _keep(case, kept, VerdictName.ECHO, reason)


def open_to_all(case: Case) -> Verdict | Case:
    """Keep private comments back, unless the route says `private: keep`."""
    if case.route.comments.private == "keep":
        return case
    kept = [effect for effect in case.effects if not effect.private]
    return _keep(
        case, kept, VerdictName.FILTERED, "the comment is private (comments.private: drop)"
    )


def passes_filter(case: Case) -> Verdict | Case:
    """Ask the route's `when`; a move out of it may follow, unknown is left undecided."""
    judge = case.route.filters.get(case.event.site)
    if judge is None:  # the hook was of another site when this came
        reason = f"unknown: {case.route.name} is not for the site {case.event.site} any more"
        return _end(case, VerdictName.UNDECIDED, reason)
    answer = judge.match(case.body, case.now)
    why = answer.why + case.source
    if answer.value is None:
        return _end(case, VerdictName.UNDECIDED, f"unknown: {why}")
    if answer.value:
        return _end(case, VerdictName.DELIVER, why)
    if case.event.moved and case.route.moves == "follow":
        before = judge.match(before_change(case.body), case.now)
        if before.value is not False:
            return _end(case, VerdictName.DELIVER, f"moves: follow; it was inside before ({why})")
    return _end(case, VerdictName.FILTERED, why)


#: The pipeline. Reading it is reading what the bridge does with an event.
STAGES: tuple[Stage, ...] = (
    says_something,
    about_a_record,
    asked_for,
    not_an_echo,
    open_to_all,
    passes_filter,
)


def decide(
    event: Event,
    route: Route,
    *,
    now: int,
    ignored: frozenset[str] = frozenset(),
    memory: Memory | None = None,
) -> Verdict:
    """Put an event before a route; `memory` fills in the record where the body is silent.

    `deliver` and `undecided` name the effects that would be carried. A thin event that is not
    filtered is undecided whatever the filter says: a fuller telling may follow.
    """
    case = Case(
        event=event,
        route=route,
        now=now,
        ignored=ignored,
        effects=event.effects,
        body=event.body if memory is None else remembered(event.body, memory.body),
        source="" if memory is None else _source(memory),
    )
    outcome: Verdict | Case = case
    for stage in STAGES:
        if isinstance(outcome, Verdict):
            break
        outcome = stage(outcome)
    assert isinstance(outcome, Verdict)  # noqa: S101 - the last stage always ends the matter
    return outcome


def _source(memory: Memory) -> str:
    if memory.twin:
        return f" (as event {memory.event} tells of the same change)"
    return f" (as remembered from event {memory.event} of {memory.when})"


def remembered(body: Mapping[str, Any], full: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a body's record from a fuller one; what the body itself says goes first."""
    issue, other = _mapping(body.get("issue")), _mapping(full.get("issue"))
    fields = {**_mapping(other.get("fields")), **_mapping(issue.get("fields"))}
    return {**body, "issue": {**other, **issue, "fields": fields}}


def before_change(body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a body back before its own changelog, in the fields that a move touches."""
    issue = dict(_mapping(body.get("issue")))
    fields = dict(_mapping(issue.get("fields")))
    key, moved = issue.get("key"), False
    for item in changes(body):
        name = field_of(item, key)
        was = {"id": str(item.get("from") or ""), "name": item.get("fromString")}
        if name == "issuekey":
            issue["key"], moved = str(item.get("fromString") or ""), True
        elif name == "project":
            fields["project"] = was
        elif name in _REVERTED:
            fields[name] = was if item.get("fromString") else None
    if moved:
        fields["project"] = {**_mapping(fields.get("project")), "key": _prefix(issue["key"])}
    return {**body, "issue": {**issue, "fields": fields}}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _prefix(key: object) -> str:
    """Name the project of a key, or "" when it is none."""
    return key.rpartition("-")[0] if isinstance(key, str) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A configuration ready to judge: which routes an event has to be put before."""

    configuration: Configuration
    #: Routes by hook.
    by_hook: Mapping[str, tuple[Route, ...]]
    #: By hook: routes whose filter needs one of these projects, by lower-case project.
    by_project: Mapping[str, Mapping[str, tuple[Route, ...]]]
    #: By hook: routes that may match in any project.
    anywhere: Mapping[str, tuple[Route, ...]]

    @classmethod
    def of(cls, configuration: Configuration) -> Plan:
        """Index a configuration's routes by hook and project."""
        by_hook: dict[str, list[Route]] = {}
        by_project: dict[str, dict[str, list[Route]]] = {}
        anywhere: dict[str, list[Route]] = {}
        for route in configuration.routes.values():
            for hook in route.hooks:
                by_hook.setdefault(hook, []).append(route)
                needed = route.filters[configuration.hooks[hook].site].projects
                if needed is None:
                    anywhere.setdefault(hook, []).append(route)
                for project in needed or ():
                    by_project.setdefault(hook, {}).setdefault(project, []).append(route)
        return cls(
            configuration=configuration,
            by_hook=_tuples(by_hook),
            by_project={hook: _tuples(routes) for hook, routes in by_project.items()},
            anywhere=_tuples(anywhere),
        )

    def routes(self, event: Event, body: Mapping[str, Any]) -> tuple[Route, ...]:
        """Pick the routes whose filter this event could pass, in the order of their names."""
        if not _tells_project(body):
            return self.by_hook.get(event.hook, ())
        found = projects(body)
        index = self.by_project.get(event.hook, {})
        picked = {route.name: route for name in found for route in index.get(name, ())}
        picked.update((route.name, route) for route in self.anywhere.get(event.hook, ()))
        return tuple(picked[name] for name in sorted(picked))

    def judge(self, event: Event, now: int, memory: Memory | None = None) -> tuple[Verdict, ...]:
        """Put an event before every route of its hook, for every destination."""
        every = self.by_hook.get(event.hook, ())
        if not every:
            return (_nobody(f"no route reads from the hook {event.hook}"),)
        body = event.body if memory is None else remembered(event.body, memory.body)
        picked = self.routes(event, body)
        ignored = self.configuration.ignored_actors
        verdicts: list[Verdict] = []
        for route in picked:
            found = decide(event, route, now=now, ignored=ignored, memory=memory)
            verdicts += self._for_destinations(found, route, event)
        if len(picked) < len(every):
            names = {route.name for route in picked}
            verdicts.append(_elsewhere(body, [r.name for r in every if r.name not in names]))
        if event.note:
            verdicts = [replace(v, reason=f"{v.reason}; {event.note}") for v in verdicts]
        return _together(verdicts) if event.thin else tuple(verdicts)

    def _for_destinations(self, found: Verdict, route: Route, event: Event) -> list[Verdict]:
        verdict = found
        if found.name is VerdictName.DELIVER and event.thin:
            verdict = replace(
                found,
                name=VerdictName.UNDECIDED,
                reason=f"{event.name} names only the record's id; a fuller telling may come",
            )
        return [
            permitted(replace(verdict, destination=name), route, self.configuration.targets[name])
            for name in route.destinations
        ]


def _together(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Make one of a destination's undecided verdicts: one delivery waits, whatever its route."""
    waiting: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.name is VerdictName.UNDECIDED:
            waiting.setdefault(verdict.destination, []).append(verdict)
    merged = [
        replace(
            several[0],
            route=several[0].route if len(several) == 1 else "",
            effects=tuple(dict.fromkeys(name for v in several for name in v.effects)),
        )
        for several in waiting.values()
    ]
    return (*merged, *(v for v in verdicts if v.name is not VerdictName.UNDECIDED))


def permitted(verdict: Verdict, route: Route, target: Target) -> Verdict:
    """Send nothing where the destination's run-as user may not write."""
    if not target.workspaces or route.workspace in target.workspaces:
        return verdict
    if verdict.name not in (VerdictName.DELIVER, VerdictName.UNDECIDED):
        return verdict
    reason = (
        f"{target.run_as.name} of {target.name} may not write in the workspace "
        f"{route.workspace or '(none named)'}"
    )
    return replace(verdict, name=VerdictName.FORBIDDEN, reason=reason, effects=())


def resolve(
    plan: Plan,
    event: Event,
    now: int,
    *,
    memory: Memory | None,
) -> tuple[Verdict, ...]:
    """Decide an event for good, by what is remembered of its record and by each route's last word.

    No verdict of the answer is `undecided`. A thin event is taken as no longer thin: nothing
    fuller came.
    """
    told = replace(event, thin=False)
    bare = plan.judge(told, now)
    full = plan.judge(told, now, memory) if memory is not None else ()
    recalled = {(v.route, v.destination): v for v in full}
    verdicts: list[Verdict] = []
    for verdict in bare:
        if verdict.name is not VerdictName.UNDECIDED:
            verdicts.append(verdict)
            continue
        route = plan.configuration.routes[verdict.route]
        known = recalled.get((verdict.route, verdict.destination))
        if known is None and memory is not None and _may_recall(route, memory):
            known = replace(verdict, name=VerdictName.FILTERED, reason=_other_project(memory))
        verdicts.append(_last_word(verdict, route, known, memory))
    return tuple(verdicts)


def _may_recall(route: Route, memory: Memory) -> bool:
    return memory.twin or "remember" in route.unknown


def _other_project(memory: Memory) -> str:
    found = ", ".join(sorted(projects(memory.body)))
    return f"the record is in {found}{_source(memory)}"


def _last_word(
    verdict: Verdict, route: Route, known: Verdict | None, memory: Memory | None
) -> Verdict:
    """Use memory where the route allows it and it decides; else the route's deliver or drop."""
    if known is not None and memory is not None and _may_recall(route, memory):
        if known.name is not VerdictName.UNDECIDED:
            return known
        verdict = known
    tried = "" if memory is not None else _nothing_remembered(route)
    if "drop" in route.unknown:
        reason = f"{verdict.reason}{tried}; unknown: drop"
        return replace(verdict, name=VerdictName.FILTERED, reason=reason, effects=())
    reason = f"{verdict.reason}{tried}; unknown: deliver"
    return replace(verdict, name=VerdictName.DELIVER, reason=reason)


def _nothing_remembered(route: Route) -> str:
    return "; nothing is remembered of the record" if "remember" in route.unknown else ""


def wants_memory(verdicts: Sequence[Verdict], event: Event) -> bool:
    """Whether the verdicts hang on what is remembered, and nothing fuller is expected."""
    return not event.thin and any(v.name is VerdictName.UNDECIDED for v in verdicts)


def newest_of(first: Memory | None, second: Memory | None) -> Memory | None:
    """Pick the memory of the newer state; the first of two that are alike, or cannot be told."""
    if first is None or second is None:
        return first or second
    return second if first.state[0] and second.state > first.state else first


def projects(body: Mapping[str, Any]) -> frozenset[str]:
    """Name the projects a body speaks of: keys, names and ids in lower case; after a move, both."""
    issue = _mapping(body.get("issue"))
    project = _mapping(_mapping(issue.get("fields")).get("project"))
    found = {str(project[name]).casefold() for name in ("key", "name", "id") if project.get(name)}
    key = issue.get("key")
    if isinstance(key, str) and "-" in key:
        found.add(_prefix(key).casefold())
    if found:
        found.update(_moved_from(body))
    return frozenset(found)


def _tells_project(body: Mapping[str, Any]) -> bool:
    """Tell whether a filter can say for sure that it asks for another project than this body's."""
    project = _mapping(_mapping(_mapping(body.get("issue")).get("fields")).get("project"))
    changed = {field_of(item, _mapping(body.get("issue")).get("key")) for item in changes(body)}
    # A project that changed without its key is known by less than a filter may ask for.
    moved = "project" in changed and "issuekey" not in changed
    return not moved and all(project.get(name) for name in ("id", "key", "name"))


def _moved_from(body: Mapping[str, Any]) -> set[str]:
    found = set()
    key = _mapping(body.get("issue")).get("key")
    for item in changes(body):
        name = field_of(item, key)
        if name == "issuekey":
            found.add(_prefix(item.get("fromString")).casefold())
        elif name == "project":
            found.update(str(item.get(old) or "").casefold() for old in ("from", "fromString"))
    return found - {""}


def _nobody(reason: str) -> Verdict:
    return Verdict(name=VerdictName.FILTERED, reason=reason)


def _elsewhere(body: Mapping[str, Any], skipped: Sequence[str]) -> Verdict:
    """One verdict for all the routes that ask for other projects."""
    found = ", ".join(sorted(projects(body)))
    names = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
    return _nobody(f"in project {found}; other projects are asked for by {names}")


def _tuples(lists: Mapping[str, Sequence[Route]]) -> dict[str, tuple[Route, ...]]:
    return {name: tuple(sorted(routes, key=lambda r: r.name)) for name, routes in lists.items()}
