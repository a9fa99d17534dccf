"""What a clause is held against, taken apart: values, functions, and EMPTY."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.syntax import Empty, Function, Items, Operand, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Operands:
    """A clause's operand, whatever way it is written."""

    values: tuple[Value, ...]
    functions: tuple[Function, ...]
    #: EMPTY is asked for, under whatever name.
    empty: bool

    @property
    def only_empty(self) -> bool:
        """Nothing but EMPTY is asked for."""
        return self.empty and not (self.values or self.functions)


def asked(operand: Operand | None, field: FieldDef) -> Operands:
    """Take an operand apart; lists in lists count like one list."""
    values: list[Value] = []
    functions: list[Function] = []
    empty = False
    for single in _singles(operand):
        if isinstance(single, Function):
            functions.append(single)
        elif isinstance(single, Empty) or _is_unresolved(single, field):
            empty = True
        else:
            values.append(single)
    return Operands(values=tuple(values), functions=tuple(functions), empty=empty)


def _is_unresolved(value: Value, field: FieldDef) -> bool:
    return field.kind == "resolution" and value.text.casefold() == "unresolved"


def _singles(operand: Operand | None) -> Iterator[Value | Function | Empty]:
    waiting = [] if operand is None else [operand]
    while waiting:
        first = waiting.pop()
        if isinstance(first, Items):
            waiting.extend(reversed(first.values))
        else:
            yield first
