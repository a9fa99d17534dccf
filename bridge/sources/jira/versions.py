"""What state a body tells: of its issue, and of its comment or worklog.

Jira repeats a body minutes later and promises no order. So every event says as of when its issue's
fields are, and every comment and worklog which version it is; `core.stale` compares them.

- `fields.updated` says how old the fields are. It is not when the event happened: a Data Center
  tells a comment with the issue as it last was, minutes before. A body without it (a comment of
  Jira Cloud tells six fields) is as old as its `timestamp`.
- The ids of changelogs rise with time: they order changes of one instant.
- A comment's or worklog's version is its `updated`; for a deletion the instant of the event, as
  `updated` stays at the last edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.changelog import changes, setting
from bridge.sources.jira.values import digits, instant, obj, text

_BIGGEST = 2**63


def as_of(body: Mapping[str, Any], word: str) -> int:
    """Return as of when a body tells its issue, in ms since the epoch; 0: it does not say."""
    told = instant(body.get("timestamp"))
    updated = instant(obj(obj(body.get("issue")).get("fields")).get("updated"))
    first, second = (told, updated) if word == "issue_deleted" else (updated, told)
    return first or second or 0


def change_id(body: Mapping[str, Any]) -> int:
    """Return the number of a body's changelog; 0 when it has none."""
    number = int(digits(text(obj(body.get("changelog")).get("id"))) or 0)
    return number if number < _BIGGEST else 0


def settings(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a body's changelog sets; nothing, if it sets something that cannot be named."""
    names = tuple(dict.fromkeys([setting(item) for item in changes(body)]))
    return () if "" in names else names


def version(part: Mapping[str, Any], action: str, at: int | None) -> int:
    """Return the instant of a comment's or worklog's version; `at` is when the event happened."""
    return (at if action == "deleted" else instant(part.get("updated"))) or 0
