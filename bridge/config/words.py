"""The words people may write, and the nearest one to what they wrote."""

from __future__ import annotations

from collections.abc import Collection

from bridge.core.nearest import nearest

#: Kinds of senders and of receivers that are planned, so that `check` can distinguish them from
#: misspelt ones.
PLANNED_SOURCES = ("aha", "asana", "github", "rally", "salesforce", "smartsheet", "trello")
PLANNED_DESTINATIONS = ("centercode", "http", "jira", "siem")


def suggestion(word: str, known: Collection[str]) -> str:
    """Return the end of a message about a word: the nearest known one, or all of a few."""
    near = nearest(word, known)
    if near is not None:
        return f"; did you mean `{near}`?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


def quote(word: str, longest: int = 60) -> str:
    """Return a value as messages quote it: on one line, cut when it is long."""
    line = " ".join(word.split())
    return f"`{line if len(line) <= longest else line[: longest - 1] + '…'}`"
