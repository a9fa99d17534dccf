"""The fields filters can ask for: their names, where a body has them, the operators they take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bridge.core.jql import syntax
from bridge.core.jql.complaints import nearest
from bridge.core.jql.setting import Setting
from bridge.core.jql.view import Gap, Partial, Reader, Values, View, mapping, several, single, within

EQUAL: Final = frozenset({"=", "!=", "in", "not in"})
EMPTY: Final = frozenset({"is", "is not"})
ORDER: Final = frozenset({"<", ">", "<=", ">="})
SEARCH: Final = frozenset({"~", "!~"})
HISTORY: Final = frozenset({"was", "was not", "was in", "was not in", "changed"})
EVERY: Final = EQUAL | EMPTY | ORDER | SEARCH


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A field as Jira knows it."""

    #: As it is called in reasons.
    name: str
    #: How its values compare: a name in `values`.
    kind: str
    operators: frozenset[str]
    read: Reader = field(repr=False)
    #: Other names for it.
    aliases: tuple[str, ...] = ()
    #: What changelogs call it, in lower case; empty: its history cannot be asked for.
    history: frozenset[str] = frozenset()
    #: No issue is without it.
    always: bool = False
    #: Why no body can tell; "" when one can.
    elsewhere: str = ""
    #: It is another for everybody who looks.
    personal: bool = False


def _not_told(_view: View) -> Values | Gap:
    return Gap.ABSENT
