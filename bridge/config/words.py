"""The words people may write, and the nearest one to what they wrote."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from bridge.core.nearest import nearest

#: Kinds of senders and receivers that are planned: told apart from a misspelt one.
PLANNED = {
    "sources": ("aha", "asana", "github", "rally", "salesforce", "smartsheet", "trello"),
    "destinations": ("centercode", "http", "jira", "siem"),
}

_ABOUT_ISSUES = {
    "issue": "created updated deleted",
    "comment": "created updated deleted",
    "worklog": "created updated deleted",
    "attachment": "created deleted",
    "issuelink": "created deleted",
    "issue_property": "set deleted",
}
_ABOUT_OTHERS = {
    "project": "created updated deleted soft_deleted restored_deleted archived restored_archived",
    "version": "created updated released unreleased moved merged deleted",
    "sprint": "created updated deleted started closed",
    "board": "created updated deleted configuration_changed",
    "user": "created updated deleted",
    "filter": "created updated deleted",
    "issuetype": "created updated deleted",
    "option": "voting_changed watching_changed unassigned_issues_changed subtasks_changed"
    " issuelinks_changed attachments_changed timetracking_changed timetracking_provider_changed",
    "jira": "expression_evaluation_failed",
    "app": "access_to_objects_blocked access_to_objects_in_container_blocked",
}


def _words(happenings: Mapping[str, str]) -> frozenset[str]:
    return frozenset(
        f"{thing}_{what}" for thing, told in happenings.items() for what in told.split()
    )


#: What Jira tells of its issues, without its prefix `jira:`; a route without `events` takes these.
RECORD_EVENTS = _words(_ABOUT_ISSUES) | {"transition"}
#: All that Jira tells of; the words of a route's `events`.
EVENTS = RECORD_EVENTS | _words(_ABOUT_OTHERS)


@cache
def kinds(folder: str) -> frozenset[str]:
    """List the modules of `sources` or `destinations`: each one's file name is the word for it."""
    # Found by their place: neighbours on this floor do not import each other.
    place = Path(__file__).parent.parent / folder
    modules = pkgutil.iter_modules([str(place)])
    return frozenset(module.name for module in modules if not module.name.startswith("_"))


def advice(word: str, known: Collection[str]) -> str:
    """Say what to add to a complaint about a word: the nearest known one, or the few there are."""
    near = nearest(word, known)
    if near is not None:
        return f"; did you mean `{near}`?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


def quoted(word: str, longest: int = 60) -> str:
    """Write a value as a message shows it: one line, not endless."""
    line = " ".join(word.split())
    return f"`{line if len(line) <= longest else line[: longest - 1] + '…'}`"
