"""A filter that is compiled once, when the mappings load, and then judges webhook bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.core.jql import clauses, fields, predicates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.messages import find_lookalike
from bridge.core.jql.parse import parse
from bridge.core.jql.predicates import Predicate
from bridge.core.jql.syntax import And, Condition, Node, Not, Query
from bridge.core.jql.view import View
from bridge.model import Answer, Clause, Site


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledFilter:
    """A compiled filter; the same body and instant always give the same answer."""

    #: The filter as its author wrote it.
    text: str
    #: The filter can only be true for a project with one of these keys, names or ids, in lower
    #: case. None: for any project.
    projects: frozenset[str] | None = None
    #: The same, for issue types.
    types: frozenset[str] | None = None
    #: Warnings for `check`: the offset in the text, and the message.
    warnings: tuple[tuple[int, str], ...] = ()
    #: None: the filter accepts every body.
    part: Predicate | None = field(default=None, repr=False)

    def match(self, body: Mapping[str, Any], now: int) -> Answer:
        """Judge a webhook body at an instant in ms since the epoch; never raises for a body."""
        if self.part is None:
            return _EVERYTHING
        view = View(body, now)
        result = self.part.judge(view)
        return Answer(value=result[0], why=predicates.why(result, view))

    def explain(self, body: Mapping[str, Any], now: int) -> tuple[Clause, ...]:
        """Judge every clause, including clauses that cannot change the answer."""
        if self.part is None:
            return (Clause(depth=0, text=self.text, value=True, why=_EVERYTHING.why),)
        return tuple(self.part.explain(View(body, now), 0))


_EVERYTHING: Final = Answer(value=True, why="the filter lets everything through")


def compile(text: str, site: Site, lookup: bool = False) -> CompiledFilter:
    """Compile a filter for a site; raises `BadFilter` with the offset of the mistake.

    Without `lookup`, a clause that no body can ever decide is refused.
    """
    query = parse(text)
    context = CompileContext(text=text, site=site, lookup=lookup)
    part = None if query.where is None else _part(query.where, context, positive=True)
    _warn(query, context)
    return CompiledFilter(
        text=text,
        projects=None if part is None else part.projects,
        types=None if part is None else part.types,
        warnings=tuple(sorted(context.warnings)),
        part=part,
    )


def _warn(query: Query, context: CompileContext) -> None:
    for sort in query.order_by:
        fields.check_sort(sort.field, context)
    if query.order_by:
        message = "ORDER BY does not change what a filter lets through and is ignored."
        context.warn(query.order_offset, message)
    strange = find_lookalike(context.text)
    if strange is not None:
        context.warn(*strange)


def _part(node: Node, context: CompileContext, *, positive: bool) -> Predicate:
    """Compile a node, or its opposite: NOT is resolved into the operators below it."""
    match node:
        case Not(part=part):
            return _part(part, context, positive=not positive)
        case Condition():
            return clauses.clause(node, context, positive=positive)
    join = predicates.all_of if isinstance(node, And) is positive else predicates.any_of
    return join([_part(part, context, positive=positive) for part in node.parts])
