"""WAS and CHANGED, as far as one event's changelog and the present value decide them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, tzinfo
from typing import Any, Final

from bridge.core.jql import dates, functions
from bridge.core.jql.context import CompileContext
from bridge.core.jql.dates import Instant
from bridge.core.jql.field_defs import USER, FieldDef
from bridge.core.jql.operands import operands_of
from bridge.core.jql.ordering import When, read_date
from bridge.core.jql.syntax import Condition, Function, HistoryPredicate, Items, Operand, Value
from bridge.core.jql.values import Accepts, by_user
from bridge.core.jql.view import View, handle

Test = Callable[[View], bool | None]

_FROM: Final = ("from", "fromString", "tmpFromAccountId")
_TO: Final = ("to", "toString", "tmpToAccountId")
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The time that AFTER, BEFORE, ON or DURING names."""

    #: From now to the bound, both in ms since the epoch; None: unbounded on this side.
    lower: Instant | None = None
    upper: Instant | None = None
    #: Whether the bounds belong to the window.
    closed: bool = False

    def meets(self, start: int, end: int, now: int) -> bool:
        """Return whether the window and the time from start to end share an instant."""
        return not (self.follows(end, now) or self.precedes(start, now))

    def follows(self, at: int, now: int) -> bool:
        """Return whether the whole window is later than an instant."""
        if self.lower is None:
            return False
        lower = self.lower(now)
        return lower > at or (lower == at and not self.closed)

    def precedes(self, at: int, now: int) -> bool:
        """Return whether the whole window is earlier than an instant."""
        if self.upper is None:
            return False
        upper = self.upper(now)
        return upper < at or (upper == at and not self.closed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Values that a clause asks for on one side of a change."""

    names: frozenset[str]
    #: Whether a side without a value fits as well.
    empty: bool

    def at(self, item: Mapping[str, Any], side: Sequence[str]) -> bool:
        """Return whether a changelog item certainly has one of the values on this side."""
        present = {handle(item.get(part)) for part in side} - {None, ""}
        return not self.names.isdisjoint(present) if present else self.empty


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """The compiled predicates of a WAS or CHANGED clause."""

    #: In each group one window must fit: ON may name several days.
    windows: tuple[tuple[Window, ...], ...]
    actors: tuple[Accepts, ...]
    before: tuple[Wanted, ...]
    after: tuple[Wanted, ...]

    def by_actor(self, view: View) -> bool:
        """Return whether the event's user is certainly the one named by BY."""
        return all(actor(view.body.get("user"), view) for actor in self.actors)

    def meets(self, start: int, end: int, now: int) -> bool:
        """Return whether every group has a window that meets the time from start to end."""
        return all(any(w.meets(start, end, now) for w in several) for several in self.windows)

    def never(self, view: View) -> bool:
        """Return whether a whole group lies before the issue's creation."""
        born = _instant(view, "created")
        return born is not None and any(
            all(w.precedes(born, view.now) for w in several) for several in self.windows
        )

    def unchanged(self, view: View) -> bool:
        """Return whether a whole group lies after the last update: nothing changed then."""
        last = _instant(view, "updated")
        return last is not None and any(
            all(w.follows(last, view.now) for w in several) for several in self.windows
        )


def _instant(view: View, name: str) -> int | None:
    value = view.fields.get(name)
    return dates.read(value, UTC) if isinstance(value, str) else None


def _time(view: View) -> int | None:
    """Return the event's time in ms since the epoch; None when the body has none."""
    timestamp = view.body.get("timestamp")
    if isinstance(timestamp, int) and not isinstance(timestamp, bool):
        return timestamp
    return _instant(view, "updated")


def changed(field: FieldDef, condition: Condition, context: CompileContext) -> Test:
    """Judge CHANGED: true by the event's changelog, false where nothing can have changed."""
    past = _past(field, condition.predicates, context)

    def fits(item: Mapping[str, Any], at: int | None, view: View) -> bool:
        sides = all(w.at(item, _FROM) for w in past.before) and all(
            w.at(item, _TO) for w in past.after
        )
        if not sides or not past.by_actor(view):
            return False
        return not past.windows or (at is not None and past.meets(at, at, view.now))

    def test(view: View) -> bool | None:
        if view.created or past.never(view) or past.unchanged(view):
            return False
        at = _time(view)
        return True if any(fits(i, at, view) for i in view.changes(field.history)) else None

    return test


def was(field: FieldDef, condition: Condition, present: Test, context: CompileContext) -> Test:
    """Judge WAS by the present value and the event's changelog; at creation both are complete."""
    past = _past(field, condition.predicates, context)
    wanted = _wanted(condition.operand, field, context)

    def test(view: View) -> bool | None:
        if past.never(view):
            return False
        now = present(view)
        if any(_held(past, wanted, view, held_now=now is True, history=field.history)):
            return True
        if view.created and not (now and (past.actors or past.windows)):
            return now
        return False if now is False and past.unchanged(view) else None

    return test


def _held(
    past: Past, wanted: Wanted, view: View, *, held_now: bool, history: frozenset[str]
) -> Iterator[bool]:
    """Yield, for every time the field certainly had the value, whether the clause asks for it."""
    at = _time(view)
    start = _instant(view, "created") if view.created else at
    if held_now and not past.actors:
        yield past.meets(view.now if start is None else min(start, view.now), view.now, view.now)
    # The changelog of a creation lists the first values, so it has no past.
    for item in () if view.created else view.changes(history):
        if wanted.at(item, _TO) and past.by_actor(view):
            yield not past.windows or (at is not None and past.meets(at, at, view.now))
        if wanted.at(item, _FROM) and not past.actors:
            yield not past.windows or (at is not None and past.meets(at - 1, at - 1, view.now))


def _past(field: FieldDef, predicates: Sequence[HistoryPredicate], context: CompileContext) -> Past:
    by_operator: dict[str, list[Operand]] = {}
    for predicate in predicates:
        by_operator.setdefault(predicate.operator, []).append(predicate.operand)
    windows = [
        _windows(field, operator, operand, context)
        for operator in ("after", "before", "on", "during")
        for operand in by_operator.get(operator, ())
    ]
    return Past(
        windows=tuple(windows),
        actors=tuple(_actor(operand, context) for operand in by_operator.get("by", ())),
        before=tuple(_wanted(operand, field, context) for operand in by_operator.get("from", ())),
        after=tuple(_wanted(operand, field, context) for operand in by_operator.get("to", ())),
    )


def _windows(
    field: FieldDef, operator: str, operand: Operand, context: CompileContext
) -> tuple[Window, ...]:
    if operator == "on" and isinstance(operand, Items):
        return tuple(_window(field, operator, each, context) for each in operand.values)
    return (_window(field, operator, operand, context),)


def _window(field: FieldDef, operator: str, operand: Operand, context: CompileContext) -> Window:
    if operator == "during":
        return _during(field, operand, context)
    at = _when(field, operand, context).at
    if operator == "after":
        return Window(lower=at)
    if operator == "before":
        return Window(upper=at)
    zone = context.zone
    return Window(
        lower=lambda now: _midnight(at(now), 0, zone),
        upper=lambda now: _midnight(at(now), 1, zone) - 1,
        closed=True,
    )


def _during(field: FieldDef, operand: Operand, context: CompileContext) -> Window:
    if not isinstance(operand, Items) or len(operand.values) != 2:
        message = "DURING needs two dates in parentheses: DURING (from, to)."
        raise context.refuse(operand.offset, message)
    first, last = (_when(field, value, context).at for value in operand.values)
    return Window(lower=first, upper=last, closed=True)


def _midnight(at: int, later: int, zone: tzinfo) -> int:
    """Return the start of an instant's day at the site, or of the day `later` days after it."""
    day = dates.local(at, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return dates.epoch_ms((day + _DAY * later).replace(fold=0))


def _when(field: FieldDef, operand: Operand, context: CompileContext) -> When:
    dated = replace(field, kind="date")
    match operand:
        case Value():
            return read_date(dated, operand, context)
        case Function():
            at = functions.when(operand, dated, context)
        case _:
            at = None
    if at is None:
        raise context.refuse(operand.offset, f"'{operand}' is not a date.")
    return at


def _actor(operand: Operand, context: CompileContext) -> Accepts:
    operands = operands_of(operand, USER)
    if operands.empty:
        raise context.refuse(operand.offset, "BY needs a user.")
    matches = [by_user(operands.values).accepts] + [
        functions.match(function, USER, "in", context).accepts for function in operands.functions
    ]
    return lambda item, view: any(accepts(item, view) for accepts in matches)


def _wanted(operand: Operand | None, field: FieldDef, context: CompileContext) -> Wanted:
    operands = operands_of(operand, field)
    for function in operands.functions:
        functions.match(function, field, "in", context)
    # A version that was added does not show that the field was empty before.
    empty = operands.empty and field.kind != "version"
    names = frozenset(value.text.casefold() for value in operands.values)
    return Wanted(names=names, empty=empty)
