"""The operand of a clause, split into values, functions and EMPTY."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.syntax import Empty, Function, Items, Operand, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Operands:
    """The parts of a clause's operand."""

    values: tuple[Value, ...]
    functions: tuple[Function, ...]
    #: Whether EMPTY, NULL or Unresolved is among them.
    empty: bool

    @property
    def only_empty(self) -> bool:
        """Whether EMPTY is the only operand."""
        return self.empty and not (self.values or self.functions)


def operands_of(operand: Operand | None, field: FieldDef) -> Operands:
    """Split an operand; nested lists count as one list."""
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
