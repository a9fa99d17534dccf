"""The rule that no two routes send the same effects to one destination."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from bridge import sources
from bridge.config.documents import Findings
from bridge.config.draft import ConfigurationDraft, RouteDraft
from bridge.config.words import quote
from bridge.model import Filter

#: The routes so far, by site, destination and each project of their filters.
_Seen = defaultdict[tuple[str, str, str], list[RouteDraft]]
#: Instead of a project: every route, and the routes without a project in their filter.
_ALL = "*"
_NONE = ("",)


def effects_go_once(draft: ConfigurationDraft, findings: Findings) -> None:
    """Refuse two routes of the same effects to one destination; their filters may differ."""
    seen: _Seen = defaultdict(list)
    for route in draft.routes:
        reported: set[str] = set()
        for site, destination in _lanes(draft, route):
            projects = route.filters[site].projects
            earlier = _earlier(seen, (site, destination), projects)
            twin = next((other for other in earlier if _overlap(other, route, site)), None)
            if twin is not None and destination not in reported:
                reported.add(destination)
                _report_duplicate(twin, route, site, destination, findings)
            for project in (_ALL, *(_NONE if projects is None else projects)):
                seen[site, destination, project].append(route)


def _earlier(
    seen: _Seen, lane: tuple[str, str], projects: frozenset[str] | None
) -> Iterator[RouteDraft]:
    """Yield the earlier routes of a site and a destination that may let these projects through."""
    for project in [_ALL] if projects is None else [*_NONE, *sorted(projects)]:
        yield from seen[(*lane, project)]


def _lanes(draft: ConfigurationDraft, route: RouteDraft) -> Iterator[tuple[str, str]]:
    """Yield each pair of a route's sites and destinations once, if neither has an error."""
    sites = (draft.hooks[name].site for name in route.hooks if name in draft.hooks)
    for site in dict.fromkeys(sites):
        if site in route.filters:
            for name in route.destinations:
                yield site, name


def _overlap(one: RouteDraft, two: RouteDraft, site: str) -> bool:
    return bool(_events(one) & _events(two)) and not _apart(one.filters[site], two.filters[site])


def _events(route: RouteDraft) -> frozenset[str]:
    return frozenset(route.data.get("events", ())) or sources.record_events()


def _apart(one: Filter, two: Filter) -> bool:
    """Return whether certainly no event passes both filters."""
    pairs = ((one.projects, two.projects), (one.types, two.types))
    return any(a is not None and b is not None and a.isdisjoint(b) for a, b in pairs)


def _report_duplicate(
    one: RouteDraft, two: RouteDraft, site: str, destination: str, findings: Findings
) -> None:
    both = _events(one) & _events(two)
    which = "all events" if both == sources.record_events() else ", ".join(sorted(both))
    message = (
        f"{one.document.file} sends the same effects to {quote(destination)}: {which} of {site}"
        " that pass both filters; only the first route's would be written. Name other projects or"
        " issue types in one `when`, take other `events`, send to another destination, or make"
        " one route of the two"
    )
    index = two.destinations.index(destination)
    findings.error(two.document, two.steps_to("to", index), message)
