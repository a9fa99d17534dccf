"""A filter made ready: compiled once at load, then asked whether a body is let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.core.jql import complaints, fields, functions, history, parts, values
from bridge.core.jql.fields import Known
from bridge.core.jql.operands import asked
from bridge.core.jql.parse import parse
from bridge.core.jql.parts import Leaf, Part
from bridge.core.jql.places import Reader
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import And, Condition, Empty, Function, Node, Not, Or, Query, Value
from bridge.core.jql.values import Match
from bridge.core.jql.view import Gap, Partial, Values, View, handle, mapping
from bridge.model import Answer, Clause, Site

_Test = Callable[[View], bool | None]

#: Under a NOT, every operator turns into its opposite.
_FLIP: Final = {
    "=": "!=",
    "~": "!~",
    "in": "not in",
    "is": "is not",
    "<": ">=",
    ">": "<=",
    "was": "was not",
    "was in": "was not in",
    "changed": "not changed",
}
_FLIPPED: Final = _FLIP | {opposite: operator for operator, opposite in _FLIP.items()}
_NEGATIVE: Final = frozenset({"!=", "!~", "not in", "is not", "was not", "was not in", "not changed"})
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
_LONGEST: Final = 120
_MOST: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledFilter:
    """A filter as routes use it; the same body and instant always give the same answer."""

    #: As its author wrote it.
    text: str
    #: Literals, in lower case, by one of which a project must go for the filter to be true: keys,
    #: names or ids as they are written. None: any project may do.
    projects: frozenset[str] | None = None
    #: The same for issue types.
    types: frozenset[str] | None = None
    #: What `check` says of it: where in the text, and what.
    warnings: tuple[tuple[int, str], ...] = ()
    #: None lets everything through.
    part: Part | None = field(default=None, repr=False)

    def match(self, body: Mapping[str, Any], now: int) -> Answer:
        """Judge a webhook body at an instant in ms since the epoch; never raises for a body."""
        if self.part is None:
            return _EVERYTHING
        view = View(body, now)
        result = self.part.judge(view)
        return Answer(value=result[0], why=parts.why(result, view))

    def explain(self, body: Mapping[str, Any], now: int) -> tuple[Clause, ...]:
        """Judge every clause, also those that could not change the answer."""
        if self.part is None:
            return (Clause(depth=0, text=self.text, value=True, why=_EVERYTHING.why),)
        return tuple(self.part.explain(View(body, now), 0))


_EVERYTHING: Final = Answer(value=True, why="the filter lets everything through")


def compile(text: str, site: Site, lookup: bool = False) -> CompiledFilter:
    """Make a filter ready for a site; raises `errors.BadFilter` with the place of what is wrong.

    Without `lookup`, clauses that no body can ever decide are refused.
    """
    query = parse(text)
    setting = Setting(text=text, site=site, lookup=lookup)
    part = None if query.where is None else _part(query.where, setting, positive=True)
    _warn(query, setting)
    return CompiledFilter(
        text=text,
        projects=part and part.projects,
        types=part and part.types,
        warnings=tuple(sorted(setting.warnings)),
        part=part,
    )


def _warn(query: Query, setting: Setting) -> None:
    for sort in query.order_by:
        fields.check_sort(sort.field, setting)
    if query.order_by:
        message = "ORDER BY does not change what a filter lets through and is ignored."
        setting.warn(query.order_offset, message)
    strange = complaints.lookalike(setting.text)
    if strange is not None:
        setting.warn(*strange)


def _part(node: Node, setting: Setting, *, positive: bool) -> Part:
    """Compile a node, or its opposite: NOT is worked into the operators below it."""
    match node:
        case Not(part=part):
            return _part(part, setting, positive=not positive)
        case Condition():
            return _clause(node, setting, positive=positive)
    join = parts.every if isinstance(node, And) is positive else parts.either
    return join([_part(part, setting, positive=positive) for part in node.parts])


def _clause(condition: Condition, setting: Setting, *, positive: bool) -> Part:
    known = fields.find(condition.field, setting)
    _check_operator(condition, known, setting)
    operator = condition.operator if positive else _FLIPPED[condition.operator]
    ...
