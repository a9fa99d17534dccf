"""One clause made ready: the field found, the operator allowed, the values understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bridge.core.jql import comparing, fields, functions, history, parts
from bridge.core.jql.amounts import dated
from bridge.core.jql.known import Known
from bridge.core.jql.operands import Asked, asked
from bridge.core.jql.parts import Part
from bridge.core.jql.places import Reader
from bridge.core.jql.reasons import found, found_past, short
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Condition
from bridge.core.jql.values import Holds, Match, find
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


def clause(condition: Condition, setting: Setting, *, positive: bool) -> Part:
    """Compile a clause or its opposite; raises `errors.BadFilter` for what Jira would refuse."""
    known = fields.find(condition.field, setting)
    told = asked(condition.operand, known)
    _check(condition, known, told, setting)
    operator = condition.operator if positive else _FLIPPED[condition.operator]
    text = _printed(condition, operator)
    for function in told.functions:
        functions.refuse_personal(function, setting)
    if known.elsewhere:
        match = functions.unknown(known.elsewhere)
        _warn(condition, replace(known, always=True), match, setting)
        return _part(text, known, operator, match, told)
    if operator in _PAST:
        return _of_the_past(condition, operator, text, known, told, setting)
    if told.only_empty:
        test = _emptiness(known.read, empty=operator not in _NEGATIVE)
        return parts.clause(text, test, found(known, _EMPTINESS))
    match = _match(condition, operator, known, told, setting)
    _warn(condition, known, match, setting)
    return _part(text, known, operator, match, told)


def _part(text: str, known: Known, operator: str, match: Match, told: Asked) -> Part:
    positive = operator not in _NEGATIVE
    because = known.partial or match.because
    empty = positive and (told.empty or match.empty)
    needed = None
    if operator in _EQUALITY and not (told.functions or told.empty):
        needed = frozenset(value.text.casefold() for value in told.values)
    return parts.clause(
        text,
        _test(known.read, match.holds, positive=positive, empty=empty),
        found(known, because, searched=operator in _SEARCH, positive=positive),
        projects=needed if known.name == "project" else None,
        types=needed if known.name == "issuetype" else None,
    )


def _match(
    condition: Condition, operator: str, known: Known, told: Asked, setting: Setting
) -> Match:
    if operator in _ORDER:
        return _ordered(operator, known, told, setting)
    matches = [
        functions.match(function, known, condition.operator, setting) for function in told.functions
    ]
    if operator in _SEARCH:
        matches += [find(known, value, setting) for value in told.values]
    elif told.values:
        matches.append(comparing.equal(known, told.values, setting))
    return matches[0] if len(matches) == 1 else _any_of(matches)


def _ordered(operator: str, known: Known, told: Asked, setting: Setting) -> Match:
    for function in told.functions:
        when = functions.when(function, known, setting)
        if when is not None:
            return dated(known, operator, [when], setting)
        functions.match(function, known, operator, setting)
        return functions.unknown(f"the order of {known.name} values")
    return comparing.order(known, operator, told.values[0], setting)


def _any_of(matches: Sequence[Match]) -> Match:
    """Join comparisons: one that holds is enough."""

    def holds(item: object, view: View) -> bool | None:
        held = [match.holds(item, view) for match in matches]
        return True if True in held else None if None in held else False

    sights = {match.sight for match in matches}
    return Match(
        holds=holds,
        because=next((m.because for m in matches if m.sight != "clear"), matches[0].because),
        sight=sights.pop() if len(sights) == 1 else "dim",
        empty=any(match.empty for match in matches),
    )


def _test(read: Reader, holds: Holds, *, positive: bool, empty: bool) -> _Test:
    """Judge a field's values: any one that holds decides; an empty field is no match by itself."""

    def test(view: View) -> bool | None:
        items = read(view)
        if isinstance(items, Gap):
            return None
        sure = not isinstance(items, Partial)
        for item in items:
            held = holds(item, view)
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
    known: Known,
    told: Asked,
    setting: Setting,
) -> Part:
    because = f"the past of {known.name} is not in the body, beyond this event's changelog"
    if condition.operator == "changed":
        test = history.changed(known, condition, setting)
    else:
        present = _present(condition, known, told, setting)
        test = history.was(known, condition, present, setting)
    _doubt(condition.offset, text, because, setting)
    if operator in _NEGATIVE:
        test = _opposite(test)
    return parts.clause(text, test, found_past(known, because))


def _present(condition: Condition, known: Known, told: Asked, setting: Setting) -> _Test:
    if told.only_empty:
        return _emptiness(known.read, empty=True)
    operator = "in" if condition.operator.endswith("in") else "="
    match = _match(condition, operator, known, told, setting)
    return _test(known.read, match.holds, positive=True, empty=told.empty)


def _opposite(test: _Test) -> _Test:
    def opposite(view: View) -> bool | None:
        answer = test(view)
        return None if answer is None else not answer

    return opposite


def _check(condition: Condition, known: Known, told: Asked, setting: Setting) -> None:
    """Raise where Jira takes the operator not with this field, or not with this value."""
    operator = condition.operator
    if known.personal:
        message = (
            f"The field '{known.name}' is another one for everybody who looks, and nobody looks "
            "when a webhook comes in."
        )
        raise setting.refuse(condition.field.offset, message)
    emptying = told.only_empty and operator in _EMPTYING and "is" in known.operators
    if operator not in known.operators and not emptying:
        raise setting.refuse(condition.offset, _unsupported(operator, known))
    if told.empty and ("is" not in known.operators or operator in _ORDER):
        message = f"The field '{known.name}' does not support searching for EMPTY values this way."
        raise setting.refuse(condition.offset, message)


def _unsupported(operator: str, known: Known) -> str:
    meant = next((m for m in _MEANT.get(operator, ()) if m in known.operators), "")
    guess = f" Did you mean '{meant}'?" if meant else ""
    takes = ", ".join(sorted(known.operators))
    return (
        f"The operator '{operator}' is not supported by the '{known.name}' field."
        f"{guess} It takes: {takes}."
    )


def _warn(condition: Condition, known: Known, match: Match, setting: Setting) -> None:
    text = _printed(condition, condition.operator)
    place = condition.field.offset
    if match.sight == "blind" and known.always:
        if not setting.lookup:
            message = f"'{text}' can never be decided by a webhook body: {match.because}"
            raise setting.refuse(place, f"{message}{_WAYS_OUT}.")
        setting.warn(place, f"'{text}' is unknown for every body: {match.because}.")
    elif match.sight != "clear" or known.partial:
        _doubt(place, text, known.partial or match.because, setting)


def _doubt(place: int, text: str, because: str, setting: Setting) -> None:
    ways_out = "" if setting.lookup else _WAYS_OUT
    setting.warn(place, f"'{text}' is unknown for most bodies: {because}{ways_out}.")


def _printed(condition: Condition, operator: str) -> str:
    if operator == "not changed":
        return f"NOT {short(str(condition))}"
    return short(str(replace(condition, operator=operator)))
