"""Compile one clause: look up its field, check its operator, read its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bridge.core.jql import comparing, fields, functions, history, predicates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.operands import Operands, operands_of
from bridge.core.jql.ordering import by_date
from bridge.core.jql.predicates import Predicate
from bridge.core.jql.readers import Reader
from bridge.core.jql.reasons import past_reasons, reasons, short
from bridge.core.jql.syntax import Condition
from bridge.core.jql.values import Accepts, Match, by_search
from bridge.core.jql.view import Gap, Partial, View

_Test = Callable[[View], bool | None]

#: Under NOT, each operator is replaced by its opposite.
_OPPOSITES: Final = (
    ("=", "!="),
    ("~", "!~"),
    ("in", "not in"),
    ("is", "is not"),
    ("<", ">="),
    (">", "<="),
    ("was", "was not"),
    ("was in", "was not in"),
    ("changed", "not changed"),
)
_FLIPPED: Final = {a: b for one, other in _OPPOSITES for a, b in ((one, other), (other, one))}
_NEGATIVE: Final = frozenset(
    {"!=", "!~", "not in", "is not", "was not", "was not in", "not changed"}
)
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
_EQUALITY: Final = frozenset({"=", "in"})
_SEARCH: Final = frozenset({"~", "!~"})
#: With EMPTY as the only operand, these mean IS and IS NOT.
_EMPTYING: Final = frozenset({"=", "!=", "~", "!~"})
_HISTORY: Final = frozenset({"was", "was not", "was in", "was not in", "changed", "not changed"})
_EMPTINESS: Final = "whether there are more is not in the body"
#: An operator that a field does not take -> the operators its author may mean, likeliest first.
_ALTERNATIVES: Final = {
    "=": ("~", "is"),
    "!=": ("!~", "is not"),
    "~": ("=",),
    "!~": ("!=",),
    "in": ("~",),
    "not in": ("!~",),
    "is": ("=",),
    "is not": ("!=",),
    "was": ("=",),
    "was not": ("!=",),
    "was in": ("in",),
    "was not in": ("not in",),
}
_WAYS_OUT: Final = (
    "; put `lookup` in the route's `unknown` to look it up in Jira, or rewrite the clause"
)


def clause(condition: Condition, context: CompileContext, *, positive: bool) -> Predicate:
    """Compile a clause or its opposite; raises `BadFilter` for a clause that Jira would refuse."""
    field = fields.find(condition.field, context)
    operands = operands_of(condition.operand, field)
    _check(condition, field, operands, context)
    operator = condition.operator if positive else _FLIPPED[condition.operator]
    text = _printed(condition, operator)
    for function in operands.functions:
        functions.refuse_viewer_dependent(function, context)
    if field.not_in_webhook:
        match = functions.unknown(field.not_in_webhook)
        _warn(condition, replace(field, required=True), match, context)
        return _part(text, field, operator, match, operands)
    if operator in _HISTORY:
        return _history_clause(condition, operator, text, field, operands, context)
    if operands.only_empty:
        test = _emptiness(field.read, empty=operator not in _NEGATIVE)
        return predicates.clause(text, test, reasons(field, _EMPTINESS))
    match = _match(condition, operator, field, operands, context)
    _warn(condition, field, match, context)
    return _part(text, field, operator, match, operands)


def _part(text: str, field: FieldDef, operator: str, match: Match, operands: Operands) -> Predicate:
    positive = operator not in _NEGATIVE
    because = field.incomplete or match.because
    empty = positive and (operands.empty or match.empty)
    needed = None
    if operator in _EQUALITY and not (operands.functions or operands.empty):
        needed = frozenset(value.text.casefold() for value in operands.values)
    return predicates.clause(
        text,
        _test(field.read, match.accepts, positive=positive, empty=empty),
        reasons(field, because, searched=operator in _SEARCH, positive=positive),
        projects=needed if field.name == "project" else None,
        types=needed if field.name == "issuetype" else None,
    )


def _match(
    condition: Condition,
    operator: str,
    field: FieldDef,
    operands: Operands,
    context: CompileContext,
) -> Match:
    if operator in _ORDER:
        return _ordered(operator, field, operands, context)
    matches = [
        functions.match(function, field, condition.operator, context)
        for function in operands.functions
    ]
    if operator in _SEARCH:
        matches += [by_search(field, value, context) for value in operands.values]
    elif operands.values:
        matches.append(comparing.equal(field, operands.values, context))
    return matches[0] if len(matches) == 1 else _any_of(matches)


def _ordered(operator: str, field: FieldDef, operands: Operands, context: CompileContext) -> Match:
    for function in operands.functions:
        when = functions.when(function, field, context)
        if when is not None:
            return by_date(field, operator, [when], context)
        functions.match(function, field, operator, context)
        return functions.unknown(f"the order of {field.name} values")
    return comparing.order(field, operator, operands.values[0], context)


def _any_of(matches: Sequence[Match]) -> Match:
    """Join comparisons: a value needs to pass one of them."""

    def accepts(item: object, view: View) -> bool | None:
        answers = [match.accepts(item, view) for match in matches]
        return True if True in answers else None if None in answers else False

    decidable = {match.decidable for match in matches}
    return Match(
        accepts=accepts,
        because=next((m.because for m in matches if m.decidable != "always"), matches[0].because),
        decidable=decidable.pop() if len(decidable) == 1 else "sometimes",
        empty=any(match.empty for match in matches),
    )


def _test(read: Reader, accepts: Accepts, *, positive: bool, empty: bool) -> _Test:
    """Judge a field's values: one accepted value decides; an empty field alone is no match."""

    def test(view: View) -> bool | None:
        items = read(view)
        if isinstance(items, Gap):
            return None
        sure = not isinstance(items, Partial)
        for item in items:
            answer = accepts(item, view)
            if answer:
                return positive
            if answer is None:
                sure = False
        if not sure:
            return None
        return not positive if items else empty

    return test


def _emptiness(read: Reader, *, empty: bool) -> _Test:
    def test(view: View) -> bool | None:
        items = read(view)
        if isinstance(items, Gap):
            return None
        if items:
            return not empty
        return None if isinstance(items, Partial) else empty

    return test


def _history_clause(
    condition: Condition,
    operator: str,
    text: str,
    field: FieldDef,
    operands: Operands,
    context: CompileContext,
) -> Predicate:
    because = f"the past of {field.name} is not in the body, beyond this event's changelog"
    if condition.operator == "changed":
        test = history.changed(field, condition, context)
    else:
        present = _present(condition, field, operands, context)
        test = history.was(field, condition, present, context)
    _doubt(condition.offset, text, because, context)
    if operator in _NEGATIVE:
        test = _opposite(test)
    return predicates.clause(text, test, past_reasons(field, because))


def _present(
    condition: Condition, field: FieldDef, operands: Operands, context: CompileContext
) -> _Test:
    if operands.only_empty:
        return _emptiness(field.read, empty=True)
    operator = "in" if condition.operator.endswith("in") else "="
    match = _match(condition, operator, field, operands, context)
    return _test(field.read, match.accepts, positive=True, empty=operands.empty)


def _opposite(test: _Test) -> _Test:
    def opposite(view: View) -> bool | None:
        answer = test(view)
        return None if answer is None else not answer

    return opposite


def _check(
    condition: Condition, field: FieldDef, operands: Operands, context: CompileContext
) -> None:
    """Raise `BadFilter` where Jira does not take the operator with this field or this value."""
    operator = condition.operator
    if field.depends_on_viewer:
        message = (
            f"The field '{field.name}' depends on who is logged in, and a webhook has no user."
        )
        raise context.refuse(condition.field.offset, message)
    emptying = operands.only_empty and operator in _EMPTYING and "is" in field.operators
    if operator not in field.operators and not emptying:
        raise context.refuse(condition.offset, _unsupported(operator, field))
    if operands.empty and ("is" not in field.operators or operator in _ORDER):
        message = f"The field '{field.name}' does not support searching for EMPTY values this way."
        raise context.refuse(condition.offset, message)


def _unsupported(operator: str, field: FieldDef) -> str:
    meant = next((m for m in _ALTERNATIVES.get(operator, ()) if m in field.operators), "")
    guess = f" Did you mean '{meant}'?" if meant else ""
    takes = ", ".join(sorted(field.operators))
    return (
        f"The operator '{operator}' is not supported by the '{field.name}' field."
        f"{guess} It takes: {takes}."
    )


def _warn(condition: Condition, field: FieldDef, match: Match, context: CompileContext) -> None:
    text = _printed(condition, condition.operator)
    offset = condition.field.offset
    if match.decidable == "never" and field.required:
        if not context.lookup:
            message = f"'{text}' can never be decided by a webhook body: {match.because}"
            raise context.refuse(offset, f"{message}{_WAYS_OUT}.")
        context.warn(offset, f"'{text}' is unknown for every body: {match.because}.")
    elif match.decidable != "always" or field.incomplete:
        _doubt(offset, text, field.incomplete or match.because, context)


def _doubt(offset: int, text: str, because: str, context: CompileContext) -> None:
    ways_out = "" if context.lookup else _WAYS_OUT
    context.warn(offset, f"'{text}' is unknown for most bodies: {because}{ways_out}.")


def _printed(condition: Condition, operator: str) -> str:
    if operator == "not changed":
        return f"NOT {short(str(condition))}"
    return short(str(replace(condition, operator=operator)))
