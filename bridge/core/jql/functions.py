"""The functions a filter can call: which instants they name, which values they let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bridge.core.jql import dates, places
from bridge.core.jql.complaints import nearest
from bridge.core.jql.fields import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Function
from bridge.core.jql.values import Holds, Match, When, dated
from bridge.core.jql.view import View, handle, mapping

_Make = Callable[[Function], Holds]
_MANY: Final = 100

_PEOPLE: Final = frozenset({"user"})
_VERSIONS: Final = frozenset({"version"})
_ISSUES: Final = frozenset({"key", "epic"})
_SPRINTS: Final = frozenset({"sprint"})
_DATES: Final = frozenset({"date"})
_PROJECTS: Final = frozenset({"project"})
_TYPES: Final = frozenset({"issuetype"})
_COMPONENTS: Final = frozenset({"component"})
_CUSTOM: Final = frozenset({"custom"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Known_:
    """A function as Jira knows it."""
