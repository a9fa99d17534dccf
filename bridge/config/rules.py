"""Rules across files: errors that no file has on its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from urllib.parse import urlsplit

from bridge import sources
from bridge.config.documents import Document, Findings, Steps
from bridge.config.draft import ConfigurationDraft, RouteDraft
from bridge.config.variables import FilledText
from bridge.config.words import quote, suggestion
from bridge.core.nearest import nearest
from bridge.model import Filter, Hook, Target

#: The routes so far, by site, destination and each project of their filters.
_Seen = defaultdict[tuple[str, str, str], list[RouteDraft]]
#: Instead of a project: every route, and the routes without a project in their filter.
_ALL = "*"
_NONE = ("",)


def one_token_one_hook(draft: ConfigurationDraft, findings: Findings) -> None:
    """Refuse a second hook with the same token: the token identifies the hook."""
    first: dict[str, str] = {}
    for hook in draft.hooks.values():
        other = first.setdefault(hook.token, hook.name)
        if hook.token and other != hook.name and draft.bridge:
            message = f"is also the token of the hook {quote(other)}: each hook needs its own"
            findings.error(draft.bridge, ("hooks", hook.name, "token"), message)


def sites_have_hooks(draft: ConfigurationDraft, findings: Findings) -> None:
    """Warn of a site without a hook: its name may be misspelt."""
    used = {hook.site for hook in draft.hooks.values()}
    for name in draft.sites:
        if draft.bridge and name not in used and len(draft.hooks) == len(draft.hook_names):
            near = nearest(name, used)
            hint = f"; did you mean `{near}`?" if near else ""
            _warn_at_key(draft.bridge, ("sites", name), f"no hook has this site{hint}", findings)


def one_callback_one_destination(draft: ConfigurationDraft, findings: Findings) -> None:
    """Refuse a second destination with the same callback: every change would be written twice."""
    for one, two in _pairs(draft, findings, "url", "token"):
        if draft.bridge and (_account(one), one.token) == (_account(two), two.token):
            message = (
                f"is also the callback of {quote(one.name)}: events sent to both would be written"
                " twice; name one destination in both routes"
            )
            findings.error(draft.bridge, ("destinations", two.name, "token"), message)


def one_workspace_one_user(draft: ConfigurationDraft, findings: Findings) -> None:
    """Keep users apart: Aha! writes a change once for each user who can see the record."""
    for one, two in _pairs(draft, findings, "url", "integration", "run_as", "workspaces"):
        alike = (_account(one), one.integration) == (_account(two), two.integration)
        same = one.token == two.token != ""  # one_callback_one_destination reports it
        if draft.bridge and alike and not same:
            _judge_pair(draft.bridge, one, two, findings)


def _pairs(
    draft: ConfigurationDraft, findings: Findings, *keys: str
) -> Iterator[tuple[Target, Target]]:
    """Yield each pair of destinations whose values of these keys have no errors."""
    if draft.bridge is not None:
        is_sound = [
            target
            for name, target in draft.targets.items()
            if not any(
                findings.has_error(draft.bridge, ("destinations", name, key)) for key in keys
            )
        ]
        yield from combinations(is_sound, 2)


def _account(target: Target) -> str:
    return urlsplit(target.url).netloc.lower()


def _judge_pair(bridge: Document, one: Target, two: Target, findings: Findings) -> None:
    shared = _shared(one, two)
    if not shared:
        return
    same_user = one.run_as.email.lower() == two.run_as.email.lower()
    report = findings.warn if same_user else findings.error
    for mine, other in ((one, two), (two, one)):
        who = f"{mine.run_as.email} here and {other.run_as.email} of {quote(other.name)}"
        if same_user:
            who = f"{mine.run_as.email} here and for {quote(other.name)}"
        message = (
            f"{who} can both write in {shared}: events sent to both are written twice;"
            " keep their workspaces apart, or use one destination"
        )
        report(bridge, ("destinations", mine.name, "workspaces"), message)


def _shared(one: Target, two: Target) -> str:
    """Return the names of the workspaces that both may write in, as text; "" without any."""
    if not one.workspaces and not two.workspaces:
        return "every workspace (neither has a list of `workspaces`)"
    if not one.workspaces or not two.workspaces:
        return ", ".join(one.workspaces or two.workspaces)
    return ", ".join(name for name in one.workspaces if name in two.workspaces)


def former_names_are_free(draft: ConfigurationDraft, findings: Findings) -> None:
    """Refuse a `was` that is still a destination, or that two destinations claim to have been."""
    first: dict[str, str] = {}
    for name, target in draft.targets.items():
        if not target.was or draft.bridge is None:
            continue
        other = first.setdefault(target.was, name)
        message = ""
        if target.was in draft.target_names:
            message = f"{quote(target.was)} is still a destination here: its entry has to go"
        elif other != name:
            message = (
                f"{quote(other)} has the same `was`: its open deliveries can go to only one of them"
            )
        if message:
            findings.error(draft.bridge, ("destinations", name, "was"), message)


def names_exist(draft: ConfigurationDraft, findings: Findings) -> None:
    """Refuse names in `from` and `to` that are not in bridge.yaml."""
    if draft.bridge is None:
        return
    known_by_key = {"from": draft.hook_names, "to": draft.target_names}
    for route in draft.routes:
        for key, names in (("from", route.hooks), ("to", route.destinations)):
            for index, name in enumerate(names):
                known = known_by_key[key]
                if name not in known:
                    what = "hook" if key == "from" else "destination"
                    message = f"there is no {what} {quote(name)}{suggestion(name, known)}"
                    findings.error(route.document, _item(route, key, index), message)


def _item(route: RouteDraft, key: str, index: int) -> Steps:
    """Return the steps to a name, in a list or on its own."""
    return (key, index) if isinstance(route.document.content[key], list) else (key,)


def workspaces_can_be_written(draft: ConfigurationDraft, findings: Findings) -> None:
    """Refuse a workspace that no destination's run-as user may write in."""
    for route in draft.routes:
        if findings.has_error(route.document, ("workspace",)):
            continue
        found = [draft.targets[name] for name in route.destinations if name in draft.targets]
        limited = [target for target in found if target.workspaces]
        if limited:
            _judge_workspace(route, found, limited, findings)


def _judge_workspace(
    route: RouteDraft, found: list[Target], limited: list[Target], findings: Findings
) -> None:
    workspace = route.data.get("workspace", "")
    known = sorted({name for target in limited for name in target.workspaces})
    if not workspace:
        names = ", ".join(target.name for target in limited)
        message = f"is missing: {names} may write only in {', '.join(known)}"
        findings.error(route.document, ("workspace",), message)
        return
    refused = [target for target in limited if workspace not in target.workspaces]
    if refused and len(refused) == len(found):
        message = f"no destination may write in {quote(workspace)}{suggestion(workspace, known)}"
        findings.error(route.document, ("workspace",), message)
    for target in refused if len(refused) < len(found) else ():
        message = (
            f"{target.run_as.name} of {quote(target.name)} may not write in {quote(workspace)}:"
            " nothing goes there"
        )
        findings.warn(route.document, ("workspace",), message)


def lookups_are_not_there_yet(draft: ConfigurationDraft, findings: Findings) -> None:
    """Warn of `lookup`: it is valid, but not implemented yet."""
    for route in draft.routes:
        for index, word in enumerate(route.data.get("unknown", ())):
            if word == "lookup":
                message = "`lookup` is not implemented yet: the next word applies"
                findings.warn(route.document, _item(route, "unknown", index), message)


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
    findings.error(two.document, _item(two, "to", index), message)


def sites_are_explicit(draft: ConfigurationDraft, findings: Findings) -> None:
    """Demand `site` of hooks of one source that feed one destination: they may belong to one Jira.

    A hook without it is a site of its own, and changes on two sites are never the same change: a
    comment that arrives through both hooks would be written twice.
    """
    if draft.bridge is None:
        return
    for hooks in _hooks_by_destination(draft):
        explicit = [hook for hook in hooks if _written(draft.bridge, hook, "site") is not None]
        first = (explicit or hooks)[0]
        for hook in hooks:
            if hook not in explicit:
                message = _site_to_write(hook, first, hooks)
                where = ("hooks", hook.name)
                position = draft.bridge.key_position(where)
                findings.error(draft.bridge, (*where, "site"), message, position)


def _hooks_by_destination(draft: ConfigurationDraft) -> Iterator[list[Hook]]:
    """Yield the hooks of one source that feed one destination, in the order of bridge.yaml."""
    fed: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for route in draft.routes:
        for destination in route.destinations:
            for name in route.hooks:
                if name in draft.hooks:
                    fed[draft.hooks[name].source, destination].add(name)
    for names in fed.values():
        if len(names) > 1:
            yield [hook for name, hook in draft.hooks.items() if name in names]


def _site_to_write(hook: Hook, first: Hook, hooks: list[Hook]) -> str:
    others = ", ".join(quote(other.name) for other in hooks if other is not hook)
    line = f"Write `site: {first.site}`"
    if hook is not first:
        line += f" if both are of one {hook.source}, else `site: {hook.name}`"
    return (
        f"is missing, and {others} of the same source and destination may report the same change:"
        f" without it, a change that arrives through both is written twice. {line}"
    )


def _written(bridge: Document, hook: Hook, key: str) -> object:
    """Return the unchecked value of a hook's key."""
    part = bridge.content["hooks"][hook.name]
    return part.get(key) if isinstance(part, dict) else None


def nothing_is_open_by_accident(draft: ConfigurationDraft, findings: Findings) -> None:
    """Warn of a route without `when`: a file that an editor has saved in part looks like that."""
    if not findings.is_sound():
        return  # the configuration is refused anyway
    for route in draft.routes:
        if route.document.content.get("when") is None:
            what = ", ".join(route.data.get("events", ())) or "everything"
            message = (
                f"is missing, so {what} of every project goes from {_listed(route.hooks)} to"
                f' {_listed(route.destinations)}; write `when: ""` if that is meant'
            )
            findings.warn(route.document, ("when",), message)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(quote, names))


def signatures_are_checked(draft: ConfigurationDraft, findings: Findings) -> None:
    """Warn of a `secret` whose variable is empty: signatures only seem to be checked."""
    if draft.bridge is None or not findings.is_sound():
        return
    for hook in draft.hooks.values():
        where = ("hooks", hook.name, "secret")
        written = _written(draft.bridge, hook, "secret")
        texts = written if isinstance(written, list) else [written]
        names = [name for text in texts if isinstance(text, FilledText) for name in text.names()]
        if names and not hook.secrets:
            message = (
                f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not set, so signatures"
                " are off: the token alone is trusted. Set it, or take this line out"
            )
            findings.warn(draft.bridge, where, message)


def everything_is_used(draft: ConfigurationDraft, findings: Findings) -> None:
    """Warn of hooks that no route reads and destinations that none sends to."""
    if draft.bridge is None or not findings.is_sound():
        return  # a route with an error may be the one that uses it
    if not draft.routes:
        findings.warn(draft.bridge, (), "there is no route beside it, so nothing is delivered")
        return
    read = {name for route in draft.routes for name in route.hooks}
    sent = {name for route in draft.routes for name in route.destinations}
    for name, hook in draft.hooks.items():
        if name not in read and hook.enabled:
            message = "no route reads from this hook"
            _warn_at_key(draft.bridge, ("hooks", name), message, findings)
    for name in draft.targets:
        if name not in sent:
            message = "no route sends to this destination"
            _warn_at_key(draft.bridge, ("destinations", name), message, findings)


def _warn_at_key(bridge: Document, steps: Steps, message: str, findings: Findings) -> None:
    findings.warn(bridge, steps, message, bridge.key_position(steps))


#: In order; the last ones only run when there is no error so far.
RULES: tuple[Callable[[ConfigurationDraft, Findings], None], ...] = (
    one_token_one_hook,
    sites_have_hooks,
    one_callback_one_destination,
    one_workspace_one_user,
    former_names_are_free,
    names_exist,
    workspaces_can_be_written,
    lookups_are_not_there_yet,
    effects_go_once,
    sites_are_explicit,
    nothing_is_open_by_accident,
    signatures_are_checked,
    everything_is_used,
)
