"""One clause made ready: the field found, the operator allowed, the values understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bridge.core.jql import comparing, fields, functions, history, predicates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.operands import Operands, asked
from bridge.core.jql.ordering import dated
from bridge.core.jql.predicates import Predicate
from bridge.core.jql.readers import Reader
from bridge.core.jql.reasons import found, found_past, short
from bridge.core.jql.syntax import Condition
from bridge.core.jql.values import Accepts, Match, find
from bridge.core.jql.view import Gap, Partial, View

_Test = Callable[[View], bool | None]

#: Under a NOT, every operator turns into its opposite.
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
#: With EMPTY alone these are IS and IS NOT.
_EMPTYING: Final = frozenset({"=", "!=", "~", "!~"})
_PAST: Final = frozenset({"was", "was not", "was in", "was not in", "changed", "not changed"})
_EMPTINESS: Final = "whether there are more is not in the body"
#: What was probably meant where an operator does not go with a field, in order of likelihood.
_MEANT: Final = {
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
_WAYS_OUT: Final = "; put `lookup` in the route's `unknown` to have Jira asked, or ask otherwise"


def clause(condition: Condition, context: CompileContext, *, positive: bool) -> Predicate:
    """Compile a clause or its opposite; raises `errors.BadFilter` for what Jira would refuse."""
    field = fields.find(condition.field, context)
    told = asked(condition.operand, field)
    _check(condition, field, told, context)
    operator = condition.operator if positive else _FLIPPED[condition.operator]
    text = _printed(condition, operator)
    for function in told.functions:
        functions.refuse_viewer_dependent(function, context)
    if field.not_in_webhook:
        match = functions.unknown(field.not_in_webhook)
        _warn(condition, replace(field, always=True), match, context)
        return _part(text, field, operator, match, told)
    if operator in _PAST:
        return _of_the_past(condition, operator, text, field, told, context)
    if told.only_empty:
        test = _emptiness(field.read, empty=operator not in _NEGATIVE)
        return predicates.clause(text, test, found(field, _EMPTINESS))
    match = _match(condition, operator, field, told, context)
    _warn(condition, field, match, context)
    return _part(text, field, operator, match, told)


def _part(text: str, field: FieldDef, operator: str, match: Match, told: Operands) -> Predicate:
    positive = operator not in _NEGATIVE
    because = field.partial or match.because
    empty = positive and (told.empty or match.empty)
    needed = None
    if operator in _EQUALITY and not (told.functions or told.empty):
        needed = frozenset(value.text.casefold() for value in told.values)
    return predicates.clause(
        text,
        _test(field.read, match.accepts, positive=positive, empty=empty),
        found(field, because, searched=operator in _SEARCH, positive=positive),
        projects=needed if field.name == "project" else None,
        types=needed if field.name == "issuetype" else None,
    )


def _match(
    condition: Condition, operator: str, field: FieldDef, told: Operands, context: CompileContext
) -> Match:
    if operator in _ORDER:
        return _ordered(operator, field, told, context)
    matches = [
        functions.match(function, field, condition.operator, context) for function in told.functions
    ]
    if operator in _SEARCH:
        matches += [find(field, value, context) for value in told.values]
    elif told.values:
        matches.append(comparing.equal(field, told.values, context))
    return matches[0] if len(matches) == 1 else _any_of(matches)


def _ordered(operator: str, field: FieldDef, told: Operands, context: CompileContext) -> Match:
    for function in told.functions:
        when = functions.when(function, field, context)
        if when is not None:
            return dated(field, operator, [when], context)
        functions.match(function, field, operator, context)
        return functions.unknown(f"the order of {field.name} values")
    return comparing.order(field, operator, told.values[0], context)


def _any_of(matches: Sequence[Match]) -> Match:
    """Join comparisons: one that holds is enough."""

    def accepts(item: object, view: View) -> bool | None:
        held = [match.accepts(item, view) for match in matches]
        return True if True in held else None if None in held else False

    sights = {match.decidable for match in matches}
    return Match(
        accepts=accepts,
        because=next((m.because for m in matches if m.decidable != "always"), matches[0].because),
        decidable=sights.pop() if len(sights) == 1 else "sometimes",
        empty=any(match.empty for match in matches),
    )


def _test(read: Reader, accepts: Accepts, *, positive: bool, empty: bool) -> _Test:
    """Judge a field's values: any one that holds decides; an empty field is no match by itself."""

    def test(view: View) -> bool | None:
        items = read(view)
        if isinstance(items, Gap):
            return None
        sure = not isinstance(items, Partial)
        for item in items:
            held = accepts(item, view)
            if held:
                return positive
            if held is None:
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


def _of_the_past(
    condition: Condition,
    operator: str,
    text: str,
    field: FieldDef,
    told: Operands,
    context: CompileContext,
) -> Predicate:
    because = f"the past of {field.name} is not in the body, beyond this event's changelog"
    if condition.operator == "changed":
        test = history.changed(field, condition, context)
    else:
        present = _present(condition, field, told, context)
        test = history.was(field, condition, present, context)
    _doubt(condition.offset, text, because, context)
    if operator in _NEGATIVE:
        test = _opposite(test)
    return predicates.clause(text, test, found_past(field, because))


def _present(
    condition: Condition, field: FieldDef, told: Operands, context: CompileContext
) -> _Test:
    if told.only_empty:
        return _emptiness(field.read, empty=True)
    operator = "in" if condition.operator.endswith("in") else "="
    match = _match(condition, operator, field, told, context)
    return _test(field.read, match.accepts, positive=True, empty=told.empty)


def _opposite(test: _Test) -> _Test:
    def opposite(view: View) -> bool | None:
        answer = test(view)
        return None if answer is None else not answer

    return opposite


def _check(condition: Condition, field: FieldDef, told: Operands, context: CompileContext) -> None:
    """Raise where Jira takes the operator not with this field, or not with this value."""
    operator = condition.operator
    if field.depends_on_viewer:
        message = (
            f"The field '{field.name}' is another one for everybody who looks, and nobody looks "
            "when a webhook comes in."
        )
        raise context.refuse(condition.field.offset, message)
    emptying = told.only_empty and operator in _EMPTYING and "is" in field.operators
    if operator not in field.operators and not emptying:
        raise context.refuse(condition.offset, _unsupported(operator, field))
    if told.empty and ("is" not in field.operators or operator in _ORDER):
        message = f"The field '{field.name}' does not support searching for EMPTY values this way."
        raise context.refuse(condition.offset, message)


def _unsupported(operator: str, field: FieldDef) -> str:
    meant = next((m for m in _MEANT.get(operator, ()) if m in field.operators), "")
    guess = f" Did you mean '{meant}'?" if meant else ""
    takes = ", ".join(sorted(field.operators))
    return (
        f"The operator '{operator}' is not supported by the '{field.name}' field."
        f"{guess} It takes: {takes}."
    )


def _warn(condition: Condition, field: FieldDef, match: Match, context: CompileContext) -> None:
    text = _printed(condition, condition.operator)
    place = condition.field.offset
    if match.decidable == "never" and field.always:
        if not context.lookup:
            message = f"'{text}' can never be decided by a webhook body: {match.because}"
            raise context.refuse(place, f"{message}{_WAYS_OUT}.")
        context.warn(place, f"'{text}' is unknown for every body: {match.because}.")
    elif match.decidable != "always" or field.partial:
        _doubt(place, text, field.partial or match.because, context)


def _doubt(place: int, text: str, because: str, context: CompileContext) -> None:
    ways_out = "" if context.lookup else _WAYS_OUT
    context.warn(place, f"'{text}' is unknown for most bodies: {because}{ways_out}.")


def _printed(condition: Condition, operator: str) -> str:
    if operator == "not changed":
        return f"NOT {short(str(condition))}"
    return short(str(replace(condition, operator=operator)))
