"""A configuration ready to judge events: which routes each one meets, and with which verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bridge.core.decide import case_of, decide
from bridge.core.jira_body import projects_of
from bridge.core.snapshot import Snapshot
from bridge.model import Configuration, Event, Route, Stage, Target, Verdict, VerdictName


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A configuration, with its routes indexed by hook and project."""

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

    def alone(self, hook: str, route: Route) -> Plan:
        """Return this plan with one route only: it judges that route as among all the others."""
        return replace(self, by_hook={hook: (route,)}, by_project={}, anywhere={hook: (route,)})

    def routes(self, event: Event, body: Mapping[str, Any]) -> tuple[Route, ...]:
        """Return the routes whose filter the event could pass, in the order of their names."""
        projects = projects_of(body)
        if not projects.complete:
            return self.by_hook.get(event.hook, ())
        anywhere, index = self.anywhere.get(event.hook, ()), self.by_project.get(event.hook)
        if not index:
            return anywhere
        picked = {route.name: route for route in anywhere}
        for name in projects.names:
            picked.update((route.name, route) for route in index.get(name, ()))
        return tuple(picked[name] for name in sorted(picked))

    def judge(
        self, event: Event, now: int, snapshot: Snapshot | None = None
    ) -> tuple[Verdict, ...]:
        """Decide an event for every route of its hook and every destination of these routes.

        A thin event that no stage ends is undecided, as a complete event may follow. A snapshot
        fills in the record where the body lacks it.
        """
        every = self.by_hook.get(event.hook, ())
        if not every:
            return (_unrouted(f"no route reads from the hook {event.hook}"),)
        body = event.body if snapshot is None else snapshot.complete(event.body)
        picked = self.routes(event, body)
        ignored = self.configuration.ignored_actors
        verdicts: list[Verdict] = []
        for route in picked:
            found = decide(case_of(event, route, now=now, ignored=ignored, snapshot=snapshot))
            verdicts += self._for_destinations(found, route, event)
        if len(picked) < len(every):
            names = {route.name for route in picked}
            verdicts.append(_not_evaluated(body, [r.name for r in every if r.name not in names]))
        if event.note:
            verdicts = [replace(v, reason=f"{v.reason}; {event.note}") for v in verdicts]
        return _merged(verdicts) if event.thin else tuple(verdicts)

    def _for_destinations(self, found: Verdict, route: Route, event: Event) -> list[Verdict]:
        verdict = found
        if found.name is VerdictName.DELIVER and event.thin:
            verdict = replace(
                found,
                name=VerdictName.UNDECIDED,
                reason=f"{event.name} names only the record's id; a complete event may follow",
                stage=Stage.COMPLETE,
            )
        return [
            permitted(replace(verdict, destination=name), route, self.configuration.targets[name])
            for name in route.destinations
        ]


def permitted(verdict: Verdict, route: Route, target: Target) -> Verdict:
    """Return the verdict, or `forbidden` where the run-as user may not write in the workspace."""
    if not target.workspaces or route.workspace in target.workspaces:
        return verdict
    if verdict.name not in (VerdictName.DELIVER, VerdictName.UNDECIDED):
        return verdict
    reason = (
        f"{target.run_as.name} of {target.name} may not write in the workspace "
        f"{route.workspace or '(none named)'}"
    )
    return replace(
        verdict,
        name=VerdictName.FORBIDDEN,
        reason=reason,
        identities=(),
        stage=Stage.PERMITTED,
    )


def _merged(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Merge a destination's undecided verdicts into one: one delivery waits for all its routes."""
    waiting: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.name is VerdictName.UNDECIDED:
            waiting.setdefault(verdict.destination, []).append(verdict)
    merged = [
        replace(
            several[0],
            route=several[0].route if len(several) == 1 else "",
            identities=tuple(dict.fromkeys(name for v in several for name in v.identities)),
        )
        for several in waiting.values()
    ]
    return (*merged, *(v for v in verdicts if v.name is not VerdictName.UNDECIDED))


def _unrouted(reason: str) -> Verdict:
    return Verdict(name=VerdictName.FILTERED, reason=reason, stage=Stage.ROUTED)


def _not_evaluated(body: Mapping[str, Any], skipped: Sequence[str]) -> Verdict:
    """Return one verdict for all the routes whose filters need other projects."""
    found = ", ".join(sorted(projects_of(body).names))
    names = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
    return _unrouted(f"in project {found}; other projects are asked for by {names}")


def _tuples(lists: Mapping[str, Sequence[Route]]) -> dict[str, tuple[Route, ...]]:
    return {name: tuple(sorted(routes, key=lambda r: r.name)) for name, routes in lists.items()}
