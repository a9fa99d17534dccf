"""Rules about routes: the names and words in them, and whether each part is used."""

from __future__ import annotations

from bridge.config.documents import Findings
from bridge.config.draft import ConfigurationDraft, RouteDraft
from bridge.config.words import quote, suggestion
from bridge.model import Target


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
                    findings.error(route.document, route.steps_to(key, index), message)


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
                findings.warn(route.document, route.steps_to("unknown", index), message)


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
            findings.warn_at_key(draft.bridge, ("hooks", name), message)
    for name in draft.targets:
        if name not in sent:
            message = "no route sends to this destination"
            findings.warn_at_key(draft.bridge, ("destinations", name), message)
