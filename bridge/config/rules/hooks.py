"""Rules about hooks: their tokens, sites and secrets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from bridge.config.documents import Document, Findings
from bridge.config.draft import ConfigurationDraft
from bridge.config.variables import FilledText
from bridge.config.words import quote
from bridge.core.nearest import nearest
from bridge.model import Hook


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
            findings.warn_at_key(draft.bridge, ("sites", name), f"no hook has this site{hint}")


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


def _written(bridge: Document, hook: Hook, key: str) -> object:
    """Return the unchecked value of a hook's key."""
    part = bridge.content["hooks"][hook.name]
    return part.get(key) if isinstance(part, dict) else None
