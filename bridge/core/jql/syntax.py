"""The syntax tree of a filter, by Atlassian's grammar; `str` of it parses to an equal tree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from bridge.core.jql.lexicon import quote


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One `[key].path` behind a field's name."""

    key: str
    #: The words behind the bracket, with their leading dots.
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{quote(self.key)}]" + " ".join(map(quote, self.path))


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """The field of a clause."""

    #: As written, without quotes; `cf[N]` for a custom field by number.
    name: str
    #: N of `cf[N]`.
    number: int | None = None
    properties: tuple[Property, ...] = ()
    #: Its offset in the text.
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        name = quote(self.name) if self.number is None else self.name
        return name + "".join(map(str, self.properties))


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A word, a quoted string or a number."""

    text: str
    #: Written as a bare whole number.
    number: bool = False
    #: As written in the text; "" for a value that was not parsed.
    raw: str = dataclasses.field(default="", compare=False)
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return self.text if self.number else quote(self.text)


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
        return f"{quote(self.name)}({', '.join(map(quote, self.arguments))})"


Operand = Value | Empty | Items | Function


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPredicate:
    """A condition of WAS or CHANGED: after, before, on, during, by, from or to."""

    operator: str
    operand: Operand
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.operator.upper()} {self.operand}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A clause: a field, an operator and an operand."""

    field: Field
    #: In lower case, as in `not in`.
    operator: str
    #: None for CHANGED alone.
    operand: Operand | None = None
    predicates: tuple[HistoryPredicate, ...] = ()
    #: The operator's offset in the text.
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        operand = () if self.operand is None else (self.operand,)
        return " ".join(map(str, (self.field, self.operator.upper(), *operand, *self.predicates)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Not:
    """The opposite of another node."""

    part: Node

    def __str__(self) -> str:
        return _printed(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class And:
    """Nodes joined by AND."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return _printed(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Or:
    """Nodes joined by OR."""

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
    #: "asc", "desc", or "" when there is none.
    direction: str = ""

    def __str__(self) -> str:
        return f"{self.field} {self.direction.upper()}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A whole filter."""

    #: None: every body passes.
    where: Node | None = None
    order_by: tuple[Sort, ...] = ()
    #: The offset of ORDER BY in the text.
    order_offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        where = "" if self.where is None else str(self.where)
        order = f"ORDER BY {', '.join(map(str, self.order_by))}" if self.order_by else ""
        return f"{where} {order}".strip()
