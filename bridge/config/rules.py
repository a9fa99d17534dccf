"""The rules between things: what is right in each file and wrong in all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from urllib.parse import urlsplit

from bridge import sources
from bridge.config.documents import Document, Findings, Steps
from bridge.config.drafts import Draft, Drafts
from bridge.config.variables import Filled
from bridge.config.words import advice, quoted
from bridge.core.nearest import nearest
from bridge.model import Filter, Hook, Target

#: The routes so far, by site, destination and each project that they are about.
_Seen = defaultdict[tuple[str, str, str], list[Draft]]
#: In the place of a project: every route, and those that are about no project in particular.
_ALL = "*"
_NONE = ("",)


def one_token_one_hook(drafts: Drafts, findings: Findings) -> None:
    """Refuse a second hook with the same token: it names the hook."""
    first: dict[str, str] = {}
    for hook in drafts.hooks.values():
        other = first.setdefault(hook.token, hook.name)
        if hook.token and other != hook.name and drafts.bridge:
            message = f"is also the token of the hook {quoted(other)}: each hook needs its own"
            findings.error(drafts.bridge, ("hooks", hook.name, "token"), message)


def sites_have_hooks(drafts: Drafts, findings: Findings) -> None:
    """Warn of a site that no hook has: likely a misspelt one."""
    used = {hook.site for hook in drafts.hooks.values()}
    for name in drafts.sites:
        if drafts.bridge and name not in used and len(drafts.hooks) == len(drafts.hook_names):
            near = nearest(name, used)
            hint = f"; did you mean `{near}`?" if near else ""
            _warn_at_key(drafts.bridge, ("sites", name), f"no hook has this site{hint}", findings)


def one_callback_one_destination(drafts: Drafts, findings: Findings) -> None:
    """Refuse a second destination with the same callback: all would be written twice."""
    for one, two in _pairs(drafts, findings, "url", "token"):
        if drafts.bridge and (_account(one), one.token) == (_account(two), two.token):
            message = (
                f"is also the callback of {quoted(one.name)}: what goes to both would be written"
                " twice; name one destination in both routes"
            )
            findings.error(drafts.bridge, ("destinations", two.name, "token"), message)


def one_workspace_one_user(drafts: Drafts, findings: Findings) -> None:
    """Keep users apart: Aha! writes a change once for each who can see the record."""
    for one, two in _pairs(drafts, findings, "url", "integration", "run_as", "workspaces"):
        alike = (_account(one), one.integration) == (_account(two), two.integration)
        same = one.token == two.token != ""  # which one_callback_one_destination is about
        if drafts.bridge and alike and not same:
            _judge_pair(drafts.bridge, one, two, findings)


def _pairs(drafts: Drafts, findings: Findings, *keys: str) -> Iterator[tuple[Target, Target]]:
    """Give each two destinations of which these values are sound."""
    if drafts.bridge is not None:
        sound = [
            target
            for name, target in drafts.targets.items()
            if not any(findings.broken(drafts.bridge, ("destinations", name, key)) for key in keys)
        ]
        yield from combinations(sound, 2)


def _account(target: Target) -> str:
    return urlsplit(target.url).netloc.lower()


def _judge_pair(bridge: Document, one: Target, two: Target, findings: Findings) -> None:
    shared = _shared(one, two)
    if not shared:
        return
    same_user = one.run_as.email.lower() == two.run_as.email.lower()
    say = findings.warn if same_user else findings.error
    for mine, other in ((one, two), (two, one)):
        who = f"{mine.run_as.email} here and {other.run_as.email} of {quoted(other.name)}"
        if same_user:
            who = f"{mine.run_as.email} here and for {quoted(other.name)}"
        message = (
            f"{who} can both write in {shared}: what goes to both is written twice;"
            " keep their workspaces apart, or use one destination"
        )
        say(bridge, ("destinations", mine.name, "workspaces"), message)


def _shared(one: Target, two: Target) -> str:
    """Name the workspaces both may write in, for people to read; "" when there are none."""
    if not one.workspaces and not two.workspaces:
        return "every workspace (neither has a list of `workspaces`)"
    if not one.workspaces or not two.workspaces:
        return ", ".join(one.workspaces or two.workspaces)
    return ", ".join(name for name in one.workspaces if name in two.workspaces)


def former_names_are_free(drafts: Drafts, findings: Findings) -> None:
    """Refuse a `was` that is still a destination, or that two destinations claim to have been."""
    first: dict[str, str] = {}
    for name, target in drafts.targets.items():
        if not target.was or drafts.bridge is None:
            continue
        other = first.setdefault(target.was, name)
        message = ""
        if target.was in drafts.target_names:
            message = f"{quoted(target.was)} is still a destination here: its entry has to go"
        elif other != name:
            message = f"{quoted(other)} says so, too: what was on its way can go to one of them"
        if message:
            findings.error(drafts.bridge, ("destinations", name, "was"), message)


def names_exist(drafts: Drafts, findings: Findings) -> None:
    """Look `from` and `to` up in bridge.yaml."""
    if drafts.bridge is None:
        return
    known_by_key = {"from": drafts.hook_names, "to": drafts.target_names}
    for route in drafts.routes:
        for key, names in (("from", route.hooks), ("to", route.destinations)):
            for index, name in enumerate(names):
                known = known_by_key[key]
                if name not in known:
                    what = "hook" if key == "from" else "destination"
                    message = f"there is no {what} {quoted(name)}{advice(name, known)}"
                    findings.error(route.document, _item(route, key, index), message)


def _item(route: Draft, key: str, index: int) -> Steps:
    """Find where a name stands, be it in a list or alone."""
    return (key, index) if isinstance(route.document.content[key], list) else (key,)


def workspaces_can_be_written(drafts: Drafts, findings: Findings) -> None:
    """Hold a route's workspace against where the run-as users may write."""
    for route in drafts.routes:
        if findings.broken(route.document, ("workspace",)):
            continue
        found = [drafts.targets[name] for name in route.destinations if name in drafts.targets]
        limited = [target for target in found if target.workspaces]
        if limited:
            _judge_workspace(route, found, limited, findings)


def _judge_workspace(
    route: Draft, found: list[Target], limited: list[Target], findings: Findings
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
        message = f"no destination may write in {quoted(workspace)}{advice(workspace, known)}"
        findings.error(route.document, ("workspace",), message)
    for target in refused if len(refused) < len(found) else ():
        message = (
            f"{target.run_as.name} of {quoted(target.name)} may not write in {quoted(workspace)}:"
            " nothing goes there"
        )
        findings.warn(route.document, ("workspace",), message)


def lookups_are_not_there_yet(drafts: Drafts, findings: Findings) -> None:
    """Warn of `lookup`: it is understood and does nothing so far."""
    for route in drafts.routes:
        for index, word in enumerate(route.data.get("unknown", ())):
            if word == "lookup":
                message = "look-ups in Jira are not available yet: what comes after it decides"
                findings.warn(route.document, _item(route, "unknown", index), message)


def effects_go_once(drafts: Drafts, findings: Findings) -> None:
    """Refuse two routes of the same effects to one destination; their filters may differ."""
    seen: _Seen = defaultdict(list)
    for route in drafts.routes:
        told: set[str] = set()
        for site, destination in _lanes(drafts, route):
            projects = route.filters[site].projects
            earlier = _earlier(seen, (site, destination), projects)
            twin = next((other for other in earlier if _overlap(other, route, site)), None)
            if twin is not None and destination not in told:
                told.add(destination)
                _say_twice(twin, route, site, destination, findings)
            for project in (_ALL, *(_NONE if projects is None else projects)):
                seen[site, destination, project].append(route)


def _earlier(
    seen: _Seen, lane: tuple[str, str], projects: frozenset[str] | None
) -> Iterator[Draft]:
    """Give the routes of a site and a destination that can meet these projects, each in turn."""
    for project in [_ALL] if projects is None else [*_NONE, *sorted(projects)]:
        yield from seen[(*lane, project)]


def _lanes(drafts: Drafts, route: Draft) -> Iterator[tuple[str, str]]:
    """Give each site it hears with each destination it sends to, once, where both are sound."""
    sites = (drafts.hooks[name].site for name in route.hooks if name in drafts.hooks)
    for site in dict.fromkeys(sites):
        if site in route.filters:
            for name in route.destinations:
                yield site, name


def _overlap(one: Draft, two: Draft, site: str) -> bool:
    return bool(_events(one) & _events(two)) and not _apart(one.filters[site], two.filters[site])


def _events(route: Draft) -> frozenset[str]:
    return frozenset(route.data.get("events", ())) or sources.record_events()


def _apart(one: Filter, two: Filter) -> bool:
    """Say whether it can be shown that nothing passes both."""
    pairs = ((one.projects, two.projects), (one.types, two.types))
    return any(a is not None and b is not None and a.isdisjoint(b) for a, b in pairs)


def _say_twice(one: Draft, two: Draft, site: str, destination: str, findings: Findings) -> None:
    both = _events(one) & _events(two)
    which = "all events" if both == sources.record_events() else ", ".join(sorted(both))
    message = (
        f"{one.document.file} sends the same effects to {quoted(destination)}: {which} of {site}"
        " that pass both filters; only the first route's would be written. Name other projects or"
        " issue types in one `when`, take other `events`, send to another destination, or make"
        " one route of the two"
    )
    index = two.destinations.index(destination)
    findings.error(two.document, _item(two, "to", index), message)


def sites_are_said(drafts: Drafts, findings: Findings) -> None:
    """Demand `site` of hooks of one source that feed one destination: they may be one Jira's.

    A hook without it is a site of its own, and what two sites tell is never the same change: each
    comment that comes through both hooks would be written twice.
    """
    if drafts.bridge is None:
        return
    for hooks in _fellows(drafts):
        said = [hook for hook in hooks if _written(drafts.bridge, hook, "site") is not None]
        first = (said or hooks)[0]
        for hook in hooks:
            if hook not in said:
                message = _site_to_write(hook, first, hooks)
                where = ("hooks", hook.name)
                place = drafts.bridge.key_place(where)
                findings.error(drafts.bridge, (*where, "site"), message, place)


def _fellows(drafts: Drafts) -> Iterator[list[Hook]]:
    """Give the hooks of one source that feed one destination, in the order of bridge.yaml."""
    fed: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for route in drafts.routes:
        for destination in route.destinations:
            for name in route.hooks:
                if name in drafts.hooks:
                    fed[drafts.hooks[name].source, destination].add(name)
    for names in fed.values():
        if len(names) > 1:
            yield [hook for name, hook in drafts.hooks.items() if name in names]


def _site_to_write(hook: Hook, first: Hook, hooks: list[Hook]) -> str:
    others = ", ".join(quoted(other.name) for other in hooks if other is not hook)
    line = f"Write `site: {first.site}`"
    if hook is not first:
        line += f" if both are of one {hook.source}, else `site: {hook.name}`"
    return (
        f"is missing, and {others} of the same source and destination could tell the same: without"
        f" it, what comes through both is written twice. {line}"
    )


def _written(bridge: Document, hook: Hook, key: str) -> object:
    """Return what stands at a key of a hook, before it was checked."""
    part = bridge.content["hooks"][hook.name]
    return part.get(key) if isinstance(part, dict) else None


def nothing_is_open_by_accident(drafts: Drafts, findings: Findings) -> None:
    """Warn of a route without `when`: a file cut in the middle of being saved looks like that."""
    if not findings.sound():
        return  # nothing goes anywhere yet
    for route in drafts.routes:
        if route.document.content.get("when") is None:
            what = ", ".join(route.data.get("events", ())) or "everything"
            message = (
                f"is missing, so {what} of every project goes from {_listed(route.hooks)} to"
                f' {_listed(route.destinations)}; write `when: ""` if that is meant'
            )
            findings.warn(route.document, ("when",), message)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(quoted, names))


def signatures_are_checked(drafts: Drafts, findings: Findings) -> None:
    """Warn of a `secret` that comes out empty: it looks as if signatures were checked."""
    if drafts.bridge is None or not findings.sound():
        return
    for hook in drafts.hooks.values():
        where = ("hooks", hook.name, "secret")
        written = _written(drafts.bridge, hook, "secret")
        texts = written if isinstance(written, list) else [written]
        names = [name for text in texts if isinstance(text, Filled) for name in text.names()]
        if names and not hook.secrets:
            message = (
                f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not set, so signatures"
                " are off: whoever knows the token is believed. Set it, or take this line out"
            )
            findings.warn(drafts.bridge, where, message)


def everything_is_used(drafts: Drafts, findings: Findings) -> None:
    """Warn of hooks that no route reads and destinations that none sends to."""
    if drafts.bridge is None or not findings.sound():
        return  # a route that is wrong may be the one that means to
    if not drafts.routes:
        findings.warn(drafts.bridge, (), "there is no route beside it, so nothing is delivered")
        return
    read = {name for route in drafts.routes for name in route.hooks}
    sent = {name for route in drafts.routes for name in route.destinations}
    for name, hook in drafts.hooks.items():
        if name not in read and hook.enabled:
            message = "no route reads from this hook"
            _warn_at_key(drafts.bridge, ("hooks", name), message, findings)
    for name in drafts.targets:
        if name not in sent:
            message = "no route sends to this destination"
            _warn_at_key(drafts.bridge, ("destinations", name), message, findings)


def _warn_at_key(bridge: Document, steps: Steps, message: str, findings: Findings) -> None:
    findings.warn(bridge, steps, message, bridge.key_place(steps))


#: In the order in which they are asked; the last wants to know whether all else is well.
RULES: tuple[Callable[[Drafts, Findings], None], ...] = (
    one_token_one_hook,
    sites_have_hooks,
    one_callback_one_destination,
    one_workspace_one_user,
    former_names_are_free,
    names_exist,
    workspaces_can_be_written,
    lookups_are_not_there_yet,
    effects_go_once,
    sites_are_said,
    nothing_is_open_by_accident,
    signatures_are_checked,
    everything_is_used,
)
