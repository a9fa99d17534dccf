"""Rules about destinations: no two of them write the same change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from urllib.parse import urlsplit

from bridge.config.documents import Document, Findings
from bridge.config.draft import ConfigurationDraft
from bridge.config.words import quote
from bridge.model import Target


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
