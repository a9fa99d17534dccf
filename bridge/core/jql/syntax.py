"""The tree of a filter as Atlassian's grammar has it; printed, it is JQL that reads the same."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from bridge.core.jql.lexicon import quoted


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One `[key].path` behind a field's name."""

    key: str
    #: The words behind the bracket, with their leading dots.
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{quoted(self.key)}]" + " ".join(map(quoted, self.path))


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """What a clause is about."""

    #: As written, without quotes; `cf[N]` for a custom field by number.
    name: str
    #: N of `cf[N]`.
    number: int | None = None
    properties: tuple[Property, ...] = ()
    #: Where it stands in the text.
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        name = quoted(self.name) if self.number is None else self.name
        return name + "".join(map(str, self.properties))


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A word, a quoted string or a number."""

    text: str
    #: Written as a bare whole number.
    number: bool = False
    #: As it stands in the text; "" when it was not read from one.
    raw: str = dataclasses.field(default="", compare=False)
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return self.text if self.number else quoted(self.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Empty:
    """EMPTY or NULL."""

    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return "EMPTY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    """A list in parentheses; never empty."""

    values: tuple[Operand, ...]
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.values))})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function and its arguments."""

    name: str
    arguments: tuple[str, ...] = ()
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{quoted(self.name)}({', '.join(map(quoted, self.arguments))})"


Operand = Value | Empty | Items | Function


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPredicate:
    """What narrows WAS and CHANGED: after, before, on, during, by, from, to."""

    operator: str
    operand: Operand
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.operator.upper()} {self.operand}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A field, an operator and what it is held against."""

    field: Field
    #: In lower case, as in `not in`.
    operator: str
    #: None for CHANGED alone.
    operand: Operand | None = None
    predicates: tuple[HistoryPredicate, ...] = ()
    #: Where the operator stands.
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        operand = () if self.operand is None else (self.operand,)
        return " ".join(map(str, (self.field, self.operator.upper(), *operand, *self.predicates)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Not:
    """The opposite of what follows."""

    part: Node

    def __str__(self) -> str:
        return _printed(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class And:
    """All of several."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return _printed(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Or:
    """Any of several."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return _printed(self)


Node = Condition | Not | And | Or


def _printed(node: Node) -> str:
    """Print a node, one call for each level of the tree."""
    if isinstance(node, Condition):
        return str(node)
    loose = Or if isinstance(node, Or) else And | Or
    printed = []
    for part in node.parts if not isinstance(node, Not) else (node.part,):
        text = _printed(part)
        printed.append(f"({text})" if isinstance(part, loose) else text)
    if isinstance(node, Not):
        return f"NOT {printed[0]}"
    return (" OR " if isinstance(node, Or) else " AND ").join(printed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sort:
    """One field of ORDER BY."""

    field: Field
    #: "asc", "desc", or "" when not said.
    direction: str = ""

    def __str__(self) -> str:
        return f"{self.field} {self.direction.upper()}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A whole filter."""

    #: None lets everything through.
    where: Node | None = None
    order_by: tuple[Sort, ...] = ()
    #: Where ORDER BY stands.
    order_offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        where = "" if self.where is None else str(self.where)
        order = f"ORDER BY {', '.join(map(str, self.order_by))}" if self.order_by else ""
        return f"{where} {order}".strip()
