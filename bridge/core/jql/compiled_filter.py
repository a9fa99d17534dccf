"""A filter made ready: compiled once at load, then asked whether a body is let through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.core.jql import clauses, errors, fields, predicates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.parse import parse
from bridge.core.jql.predicates import Predicate
from bridge.core.jql.syntax import And, Condition, Node, Not, Query
from bridge.core.jql.view import View
from bridge.model import Answer, Clause, Site


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
    part: Predicate | None = field(default=None, repr=False)

    def match(self, body: Mapping[str, Any], now: int) -> Answer:
        """Judge a webhook body at an instant in ms since the epoch; never raises for a body."""
        if self.part is None:
            return _EVERYTHING
        view = View(body, now)
        result = self.part.judge(view)
        return Answer(value=result[0], why=predicates.why(result, view))

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
    strange = errors.lookalike(context.text)
    if strange is not None:
        context.warn(*strange)


def _part(node: Node, context: CompileContext, *, positive: bool) -> Predicate:
    """Compile a node, or its opposite: NOT is worked into the operators below it."""
    match node:
        case Not(part=part):
            return _part(part, context, positive=not positive)
        case Condition():
            return clauses.clause(node, context, positive=positive)
    join = predicates.every if isinstance(node, And) is positive else predicates.either
    return join([_part(part, context, positive=positive) for part in node.parts])
